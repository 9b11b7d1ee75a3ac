// Every configuration that was ever committed, up to kRevisionsKept, on disk: DIRECTORY/00000012.txtpb, a header of `#`
// lines (who, when, why, checksum) and the text. The newest good one is what runs.
//
// A commit is one new file: written beside, synced, renamed, its directory synced. So after a crash at any moment there
// is the old state or the new one, never a mixture; and what add() reported is there. A file that is torn or damaged is
// passed over, and problems() says so.
//
// A commit that wants confirmation stands only once DIRECTORY/00000012.confirmed exists. Whoever keeps the clock takes
// it back by add()ing the text of standing() again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/config/disk.h"
#include "controlplane/config/lineage.h"

namespace headgate::config {

inline constexpr std::size_t kRevisionsKept = 100;

struct Revision {
  std::uint64_t number = 0;
  std::int64_t time_s = 0;  // Unix time
  std::string user{}, comment{};
  std::uint32_t confirm_s = 0;         // not 0: wants confirmation within this time
  std::string boot{};                  // of the machine that committed it: boot id
  std::uint64_t boottime_s = 0;        // and its time since that boot, which no clock change touches
  std::uint64_t rolled_back_from = 0;  // this is the automatic return from that one
  std::string digest{};                // SHA-256 of the text, in hexadecimal
  // Its place in the line of the pair (lineage.h). A revision that changed only box_local fields has that of the one
  // before; empty id: made by firmware that knew no pair.
  Lineage lineage{};
  bool local = false;  // committed on this box alone, while the peer was away
  bool confirmed = false;
  bool stands() const { return confirm_s == 0 || confirmed; }
};

class History {
 public:
  History(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  // Reads the directory, which is made when missing, and removes what a crash left half done.
  Result<void> open();

  // Null when nothing was committed yet.
  const Revision* latest() const;
  // The newest that needs no confirmation or has it: where an unconfirmed one is rolled back to.
  const Revision* standing() const;
  const Revision* find(std::uint64_t number) const;
  std::vector<Revision> list() const;  // the newest first
  Result<std::string> text(std::uint64_t number) const;

  // Durable when it returns; after an error nothing has changed. number, digest and confirmed are filled in.
  Result<Revision> add(Revision revision, const std::string& text);
  // The latest; no change when it stands already.
  Result<void> confirm();

  // Like add(), when the disk takes nothing and the revision must count all the same: it is the latest from now on, in
  // memory alone, until write_unwritten() or the next add() brings it to the disk. Lost with the process.
  Revision add_unwritten(Revision revision, const std::string& text);
  bool unwritten() const { return !unwritten_.empty(); }
  // In their order; stops at the first that the disk does not take.
  Result<void> write_unwritten();

  // What open() found damaged, one sentence each.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::string path(std::uint64_t number, const char* suffix) const;
  Result<void> put(const std::string& path, const std::string& content);
  Result<void> write(const Revision& revision, const std::string& text);
  Revision numbered(Revision revision, const std::string& text) const;
  void keep(const Revision& revision);
  void forget_old();

  Disk& disk_;
  const std::string directory_;
  std::map<std::uint64_t, Revision> revisions_;
  std::map<std::uint64_t, std::string> unwritten_;  // texts of revisions that are not on disk yet
  std::uint64_t highest_ = 0;                       // number ever seen, damaged ones included
  std::vector<std::string> problems_;
};

}  // namespace headgate::config
