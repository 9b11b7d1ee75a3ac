#include "controlplane/system/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <ctime>

namespace headgate::system {
namespace {

la_ssize_t append(archive*, void* bytes, const void* data, std::size_t size) {
  static_cast<std::string*>(bytes)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

struct Archive::Writer {
  archive* handle = ::archive_write_new();
  ~Writer() { ::archive_write_free(handle); }
};

Archive::Archive(std::string folder, std::size_t bytes_max)
    : folder_(std::move(folder)), left_(bytes_max), writer_(std::make_unique<Writer>()) {
  ::archive_write_add_filter_gzip(writer_->handle);
  ::archive_write_set_format_pax_restricted(writer_->handle);
  ::archive_write_open(writer_->handle, &bytes_, nullptr, append, nullptr);
}

Archive::~Archive() = default;

void Archive::note(const std::string& text) {
  manifest_ += "# " + text + "\n";
}

void Archive::add(const std::string& name, const std::string& content) {
  const std::size_t room = std::min(left_, kArchiveFileMax);
  if (content.size() > room) note(name + ": cut, it had " + std::to_string(content.size()) + " bytes");
  const std::string kept = content.substr(0, room);
  left_ -= kept.size();
  manifest_ += name + " " + std::to_string(kept.size()) + "\n";
  write(name, kept);
}

void Archive::write(const std::string& name, const std::string& content) {
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_pathname(entry, (folder_ + "/" + name).c_str());
  ::archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_entry_set_perm(entry, 0644);
  ::archive_entry_set_mtime(entry, std::time(nullptr), 0);
  ::archive_write_header(writer_->handle, entry);
  ::archive_write_data(writer_->handle, content.data(), content.size());
  ::archive_entry_free(entry);
}

std::string Archive::finish() {
  write("MANIFEST", "# name and bytes of each file; lines that begin with # say what is missing or cut\n" + manifest_);
  return ::archive_write_close(writer_->handle) == ARCHIVE_OK ? std::move(bytes_) : std::string();
}

}  // namespace headgate::system
