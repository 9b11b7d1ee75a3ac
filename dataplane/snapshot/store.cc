#include "dataplane/snapshot/store.h"

#include <fcntl.h>
#include <nmmintrin.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace headgate::snapshot {
namespace {

struct Header {
  char magic[8];
  std::uint64_t length;
  std::uint32_t checksum;
  std::uint32_t zero;
};
static_assert(sizeof(Header) == 24);
constexpr char kMagic[8] = {'H', 'G', 'S', 'N', 'A', 'P', '\0', '\1'};

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// SSE 4.2 is in the baseline (x86-64-v2).
std::uint32_t crc32c(std::string_view bytes) {
  std::uint64_t crc = 0xffffffffu;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto tail = static_cast<std::uint32_t>(crc);
  for (; i < bytes.size(); ++i) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(bytes[i]));
  return ~tail;
}

bool write_all(int descriptor, const void* data, std::size_t size) {
  const char* p = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(descriptor, p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

// Bytes read before the end of the file; -1 on error.
ssize_t read_all(int descriptor, void* data, std::size_t size) {
  char* p = static_cast<char*>(data);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(descriptor, p + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

tl::unexpected<Error> failed(const std::string& path, const char* what) {
  const int code = errno;
  return fail(
      code == ENOSPC ? ErrorCode::exhausted : ErrorCode::unavailable,
      path + ": cannot " + what + ": " + std::strerror(code) + "; check the directory's space and permissions.");
}

tl::unexpected<Error> refused(const std::string& path, const char* why) {
  return fail(ErrorCode::invalid_argument,
              path + " " + why + "; it is ignored. Remove it, the control plane will push the configuration again.");
}

Result<void> sync_directory(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const File file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) return failed(directory, "sync");
  return {};
}

}  // namespace

Result<void> store(const std::string& path, std::string_view bytes) {
  if (bytes.size() > kStoredBytesMax) {
    return fail(ErrorCode::invalid_argument, path + ": a snapshot of more than 64 MiB is not stored.");
  }
  const std::string beside = path + ".new";
  Header header{{}, bytes.size(), crc32c(bytes), 0};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  {
    const File file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) return failed(beside, "create");
    if (!write_all(file.get(), &header, sizeof header) || !write_all(file.get(), bytes.data(), bytes.size()) ||
        ::fsync(file.get()) != 0) {
      auto error = failed(beside, "write");
      ::unlink(beside.c_str());
      return error;
    }
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed(path, "replace");
  return sync_directory(path);
}

Result<std::string> load(const std::string& path) {
  // O_NONBLOCK: a pipe in its place must not hang the start.
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, path + ": there is no stored snapshot.");
    return failed(path, "open");
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return failed(path, "look at");
  if (!S_ISREG(status.st_mode)) return refused(path, "is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  Header header;
  if (read_all(file.get(), &header, sizeof header) != static_cast<ssize_t>(sizeof header)) {
    return refused(path, "is shorter than its header");
  }
  if (std::memcmp(header.magic, kMagic, sizeof kMagic - 1) != 0) return refused(path, "is not a stored snapshot");
  if (header.magic[7] != kMagic[7]) return refused(path, "was written by another version");
  if (header.length > kStoredBytesMax || header.zero != 0) return refused(path, "has a damaged header");
  if (size != sizeof header + header.length) return refused(path, "is torn: its length is not what its header says");
  std::string bytes(header.length, '\0');
  if (read_all(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return refused(path, "is torn: it ends before the length its header says");
  }
  if (crc32c(bytes) != header.checksum) return refused(path, "is damaged: its checksum does not match");
  return bytes;
}

}  // namespace headgate::snapshot
