// What a commit needs of a disk. Injected, so that a test can record every write and flush and replay them up to any
// point of a power cut.
#pragma once

#include <string>
#include <vector>

#include "controlplane/config/result.h"

namespace headgate::config {

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names of regular files
  virtual bool exists(const std::string& path) = 0;  // false only when it is certain that nothing is there
  virtual Result<std::string> read(const std::string& path) = 0;
  virtual Result<void> make_directory(const std::string& path) = 0;  // fine when it exists
  // The file is new or emptied first. Nothing is durable before the matching sync.
  virtual Result<void> write(const std::string& path, const std::string& content) = 0;
  virtual Result<void> sync_file(const std::string& path) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> sync_directory(const std::string& directory) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
};

// The file is the old one or the new one after a power cut at any moment, and the new one once this returned.
Result<void> replace_durably(Disk& disk, const std::string& path, const std::string& content);

class KernelDisk final : public Disk {
 public:
  Result<std::vector<std::string>> list(const std::string& directory) override;
  bool exists(const std::string& path) override;
  Result<std::string> read(const std::string& path) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> write(const std::string& path, const std::string& content) override;
  Result<void> sync_file(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> sync_directory(const std::string& directory) override;
  Result<void> remove(const std::string& path) override;
};

}  // namespace headgate::config
