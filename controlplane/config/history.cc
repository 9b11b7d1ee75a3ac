#include "controlplane/config/history.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace headgate::config {
namespace {

constexpr const char* kText = ".txtpb";
constexpr const char* kConfirmed = ".confirmed";
constexpr const char* kNew = ".new";
constexpr const char* kMagic = "# headgate revision ";

// A word of a header line: no line ends, no control characters.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string header_of(const Revision& r) {
  std::ostringstream out;
  out << kMagic << r.number << "\n# time " << r.time_s << "\n# user " << one_line(r.user) << "\n# comment "
      << one_line(r.comment) << "\n# boot " << one_line(r.boot) << "\n# boottime " << r.boottime_s << "\n";
  if (r.confirm_s != 0) out << "# confirm_within " << r.confirm_s << "\n";
  if (r.rolled_back_from != 0) out << "# rolled_back_from " << r.rolled_back_from << "\n";
  if (!r.lineage.id.empty()) {
    out << "# version " << r.lineage.id << "\n# parent " << r.lineage.parent << "\n# shared " << r.lineage.digest
        << "\n";
  }
  if (r.local) out << "# local 1\n";
  out << "# digest " << r.digest << "\n";
  return out.str();
}

template <class Number>
bool parse_number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

struct Parsed {
  Revision revision;
  std::string text;
};

// Nothing when the file is not exactly what add() wrote.
std::optional<Parsed> parse(const std::string& content, std::uint64_t number) {
  Parsed out;
  std::size_t at = 0;
  std::string checksum;
  std::size_t header_end = 0;
  while (checksum.empty()) {
    const std::size_t end = content.find('\n', at);
    if (end == std::string::npos || content.compare(at, 2, "# ") != 0) return std::nullopt;
    const std::string line = content.substr(at + 2, end - at - 2);
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space), value = space == std::string::npos ? "" : line.substr(space + 1);
    Revision& r = out.revision;
    bool good = true;
    if (name == "headgate")
      good = value == "revision " + std::to_string(number);
    else if (name == "time")
      good = parse_number(value, r.time_s);
    else if (name == "user")
      r.user = value;
    else if (name == "comment")
      r.comment = value;
    else if (name == "boot")
      r.boot = value;
    else if (name == "boottime")
      good = parse_number(value, r.boottime_s);
    else if (name == "confirm_within")
      good = parse_number(value, r.confirm_s);
    else if (name == "rolled_back_from")
      good = parse_number(value, r.rolled_back_from);
    else if (name == "version")
      r.lineage.id = value;
    else if (name == "parent")
      r.lineage.parent = value;
    else if (name == "shared")
      r.lineage.digest = value;
    else if (name == "local")
      r.local = value == "1";
    else if (name == "digest")
      r.digest = value;
    else if (name == "checksum")
      checksum = value, header_end = at;
    if (!good) return std::nullopt;
    at = end + 1;
  }
  out.revision.number = number;
  out.text = content.substr(at);
  const std::string header = content.substr(0, header_end);
  if (!header.starts_with(kMagic) || sha256_hex(header + out.text) != checksum) return std::nullopt;
  if (out.revision.digest != sha256_hex(out.text)) return std::nullopt;
  return out;
}

// The number of a file of ours; 0 for any other.
std::uint64_t number_of(const std::string& name, const std::string& suffix) {
  std::uint64_t number = 0;
  if (!name.ends_with(suffix) || !parse_number(name.substr(0, name.size() - suffix.size()), number)) return 0;
  return number;
}

}  // namespace

std::string History::path(std::uint64_t number, const char* suffix) const {
  std::string digits = std::to_string(number);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return directory_ + "/" + digits + suffix;
}

Result<void> History::open() {
  revisions_.clear();
  problems_.clear();
  unwritten_.clear();
  highest_ = 0;
  if (auto made = disk_.make_directory(directory_); !made) return made;
  const auto names = disk_.list(directory_);
  if (!names) return fail(names.error().message);
  for (const std::string& name : *names) {
    if (name.ends_with(kNew)) {
      (void)disk_.remove(directory_ + "/" + name);  // a commit that never was
      continue;
    }
    const std::uint64_t number = number_of(name, kText);
    if (number == 0) continue;
    highest_ = std::max(highest_, number);
    const auto content = disk_.read(directory_ + "/" + name);
    const auto parsed = content ? parse(*content, number) : std::nullopt;
    if (!parsed) {
      problems_.push_back("revision " + std::to_string(number) + " (" + directory_ + "/" + name + ") is damaged" +
                          (content ? "" : ": " + content.error().message) + "; it is passed over");
      continue;
    }
    revisions_.emplace(number, parsed->revision);
  }
  for (const std::string& name : *names) {
    const auto found = revisions_.find(number_of(name, kConfirmed));
    if (found != revisions_.end()) found->second.confirmed = true;
  }
  return {};
}

const Revision* History::latest() const {
  return revisions_.empty() ? nullptr : &revisions_.rbegin()->second;
}

const Revision* History::standing() const {
  for (auto entry = revisions_.rbegin(); entry != revisions_.rend(); ++entry) {
    if (entry->second.stands()) return &entry->second;
  }
  return nullptr;
}

const Revision* History::find(std::uint64_t number) const {
  const auto found = revisions_.find(number);
  return found == revisions_.end() ? nullptr : &found->second;
}

std::vector<Revision> History::list() const {
  std::vector<Revision> all;
  for (auto entry = revisions_.rbegin(); entry != revisions_.rend(); ++entry) all.push_back(entry->second);
  return all;
}

Result<std::string> History::text(std::uint64_t number) const {
  if (find(number) == nullptr) return fail("there is no revision " + std::to_string(number) + "; see show commits");
  if (const auto found = unwritten_.find(number); found != unwritten_.end()) return found->second;
  const auto content = disk_.read(path(number, kText));
  if (!content) return fail(content.error().message);
  auto parsed = parse(*content, number);
  if (!parsed) return fail("revision " + std::to_string(number) + " was damaged on disk meanwhile");
  return std::move(parsed->text);
}

Result<void> History::put(const std::string& final_path, const std::string& content) {
  auto done = replace_durably(disk_, final_path, content);
  if (!done) {
    (void)disk_.remove(final_path + kNew);
    (void)disk_.remove(final_path);  // reported as not there, so it must not come back
  }
  return done;
}

Revision History::numbered(Revision revision, const std::string& text) const {
  revision.number = highest_ + 1;
  revision.digest = sha256_hex(text);
  revision.confirmed = false;
  revision.user = one_line(revision.user);
  revision.comment = one_line(revision.comment);
  return revision;
}

Result<void> History::write(const Revision& revision, const std::string& text) {
  const std::string header = header_of(revision);
  return put(path(revision.number, kText), header + "# checksum " + sha256_hex(header + text) + "\n" + text);
}

void History::keep(const Revision& revision) {
  highest_ = revision.number;
  revisions_.emplace(revision.number, revision);
  forget_old();
}

Result<Revision> History::add(Revision revision, const std::string& text) {
  if (auto done = write_unwritten(); !done) return fail(done.error().message);  // the order on disk is that of events
  revision = numbered(std::move(revision), text);
  if (auto done = write(revision, text); !done) return fail(done.error().message);
  keep(revision);
  return revision;
}

Revision History::add_unwritten(Revision revision, const std::string& text) {
  revision = numbered(std::move(revision), text);
  unwritten_.emplace(revision.number, text);
  keep(revision);
  return revision;
}

Result<void> History::write_unwritten() {
  while (!unwritten_.empty()) {
    const auto& [number, text] = *unwritten_.begin();
    if (auto done = write(revisions_.at(number), text); !done) return done;
    unwritten_.erase(unwritten_.begin());
  }
  return {};
}

Result<void> History::confirm() {
  if (revisions_.empty() || revisions_.rbegin()->second.stands()) return {};
  Revision& latest = revisions_.rbegin()->second;
  if (auto done = put(path(latest.number, kConfirmed), "confirmed\n"); !done) return done;
  latest.confirmed = true;
  return {};
}

// Never the one to roll back to.
void History::forget_old() {
  const std::uint64_t keep = standing() == nullptr ? 0 : standing()->number;
  while (revisions_.size() > kRevisionsKept && revisions_.begin()->first != keep) {
    const std::uint64_t number = revisions_.begin()->first;
    (void)disk_.remove(path(number, kText));
    (void)disk_.remove(path(number, kConfirmed));
    unwritten_.erase(number);
    revisions_.erase(revisions_.begin());
  }
}

}  // namespace headgate::config
