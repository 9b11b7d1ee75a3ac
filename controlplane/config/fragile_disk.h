// For tests only.
#pragma once

#include <climits>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>

#include "controlplane/config/disk.h"

namespace headgate::config {

// A disk that forgets what was not flushed. What is durable: file contents as of their last sync_file, names as of
// their last sync_directory. After a power cut the kernel may have written any subset of the rest, in any order, torn.
class FragileDisk : public Disk {
 public:
  enum class Forget { nothing, file_syncs, directory_syncs };
  // `where`: the one directory whose syncs are forgotten; empty: all.
  explicit FragileDisk(Forget forget = Forget::nothing, std::string where = {})
      : forget_(forget), where_(std::move(where)) {}

  struct Power {};  // thrown when it fails

  Result<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> all;
    for (const auto& [path, file] : names_) {
      if (parent(path) == directory) all.push_back(std::filesystem::path(path).filename().string());
    }
    return all;
  }
  bool exists(const std::string& path) override { return names_.contains(path); }
  Result<std::string> read(const std::string& path) override {
    if (!names_.contains(path)) return fail("no " + path);
    return files_.at(names_.at(path)).content;
  }
  Result<void> make_directory(const std::string&) override { return {}; }
  Result<void> write(const std::string& path, const std::string& content) override {
    step();
    if (full_) return fail("cannot write " + path + ": the disk is full");
    files_[++last_file_] = {content, ""};
    names_[path] = last_file_;
    return {};
  }
  Result<void> sync_file(const std::string& path) override {
    step();
    if (!forgets(Forget::file_syncs, parent(path)))
      files_.at(names_.at(path)).durable = files_.at(names_.at(path)).content;
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    step();
    names_[to] = names_.at(from);
    names_.erase(from);
    return {};
  }
  Result<void> sync_directory(const std::string& directory) override {
    step();
    if (forgets(Forget::directory_syncs, directory)) return {};
    std::erase_if(durable_names_, [&](const auto& name) { return parent(name.first) == directory; });
    for (const auto& [path, file] : names_) {
      if (parent(path) == directory) durable_names_[path] = file;
    }
    return {};
  }
  Result<void> remove(const std::string& path) override {
    step();
    names_.erase(path);
    return {};
  }

  void fail_after(unsigned steps) { left_ = steps; }
  void fill(bool full) { full_ = full; }  // what is there stays and can be read
  unsigned writes() const { return static_cast<unsigned>(last_file_); }
  // What is there when the power comes back.
  void restart(std::mt19937_64& random) {
    std::map<std::string, int> names = durable_names_;
    std::set<std::string> touched;
    for (const auto& [path, file] : names_) touched.insert(path);
    for (const auto& [path, file] : durable_names_) touched.insert(path);
    for (const std::string& path : touched) {  // each change of a name may have reached the disk by itself, or not
      if (random() % 2 == 0) continue;
      if (names_.contains(path)) {
        names[path] = names_.at(path);
      } else {
        names.erase(path);
      }
    }
    for (auto& [id, file] : files_) {
      if (file.durable == file.content) continue;
      file.content = random() % 2 == 0 ? file.durable : file.content.substr(0, random() % (file.content.size() + 1));
    }
    names_ = durable_names_ = names;
    for (auto& [id, file] : files_) file.durable = file.content;
    left_ = UINT_MAX;
    full_ = false;
  }

 private:
  struct File {
    std::string content, durable;
  };
  static std::string parent(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }
  bool forgets(Forget what, const std::string& directory) const {
    return forget_ == what && (where_.empty() || where_ == directory);
  }
  void step() {
    if (left_-- == 0) throw Power{};
  }
  const Forget forget_;
  const std::string where_;
  bool full_ = false;
  unsigned left_ = UINT_MAX;
  int last_file_ = 0;
  std::map<int, File> files_;
  std::map<std::string, int> names_, durable_names_;
};

}  // namespace headgate::config
