// A tar.gz in memory, bounded: what does not fit is cut and said so in the manifest, which is its last file.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace headgate::system {

inline constexpr std::size_t kArchiveMax = 64 << 20;  // bytes of all files together, before compression
inline constexpr std::size_t kArchiveFileMax = 8 << 20;

class Archive {
 public:
  // Every file lies below `folder`.
  explicit Archive(std::string folder, std::size_t bytes_max = kArchiveMax);
  ~Archive();
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  void add(const std::string& name, const std::string& content);
  // For the manifest: what should be here and is not.
  void note(const std::string& text);
  // The archive with its manifest; empty when it could not be made. Once.
  std::string finish();

 private:
  struct Writer;
  void write(const std::string& name, const std::string& content);
  const std::string folder_;
  std::size_t left_;
  std::string manifest_;
  std::string bytes_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace headgate::system
