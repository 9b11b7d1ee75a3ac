#include "controlplane/config/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "controlplane/config/durable_file.h"

namespace headgate::config {
namespace {

tl::unexpected<Error> failed(const std::string& what) {
  return fail(what + ": " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<void> replace_durably(Disk& disk, const std::string& path, const std::string& content) {
  const std::string beside = path + ".new";
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  if (auto done = disk.write(beside, content); !done) return done;
  if (auto done = disk.sync_file(beside); !done) return done;  // before the rename: a name never leads to half a file
  if (auto done = disk.rename(beside, path); !done) return done;
  return disk.sync_directory(directory);  // or the rename itself may be lost (fsync(2))
}

Result<std::vector<std::string>> KernelDisk::list(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(directory, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->is_regular_file(error)) names.push_back(entry->path().filename().string());
  }
  if (error) return fail("cannot read the directory " + directory + ": " + error.message());
  return names;
}

bool KernelDisk::exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0 || errno != ENOENT;
}

Result<std::string> KernelDisk::read(const std::string& path) {
  return read_file(path);
}

Result<void> KernelDisk::make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed("cannot make the directory " + path);
  return {};
}

Result<void> KernelDisk::write(const std::string& path, const std::string& content) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("cannot create " + path);
  for (std::size_t done = 0; done < content.size();) {
    const ssize_t n = ::write(file.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("cannot write " + path);
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> KernelDisk::sync_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));  // fsync(2) flushes the file, whoever wrote it
  if (file.get() < 0 || ::fsync(file.get()) != 0) return failed("cannot sync " + path);
  return {};
}

Result<void> KernelDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed("cannot rename " + from + " to " + to);
  return {};
}

Result<void> KernelDisk::sync_directory(const std::string& directory) {
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return failed("cannot sync " + directory);
  return {};
}

Result<void> KernelDisk::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("cannot remove " + path);
  return {};
}

}  // namespace headgate::config
