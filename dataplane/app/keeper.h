// Keeps what runs in a file, for the dataplane's next life (snapshot/store.h).
//
// A whole snapshot is on disk when its apply is answered. States follow on a thread of their own, never on the path of
// an acknowledgement: at once, but at most every kKeepEvery, the newest only. So a dataplane that is killed starts with
// states at most kKeepEvery and one write old, until the control plane comes and pushes what differs.
//
// Threads: any. A file is written by one Keeper alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/snapshot/model.h"

namespace headgate::app {

inline constexpr std::chrono::milliseconds kKeepEvery{200};

// A whole message, and a snapshot that was built from it, perhaps with other states and a later generation since.
struct Kept {
  std::shared_ptr<const dataplane::v1::Snapshot> message;
  std::shared_ptr<const snapshot::Snapshot> snapshot;
};

// The message with the generation and the states of the snapshot.
dataplane::v1::Snapshot merged(const Kept& kept);

class Keeper {
 public:
  explicit Keeper(std::string path);
  ~Keeper();  // writes what is still due
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  const std::string& path() const { return path_; }
  // Written when it returns. What fails is said in the log: it runs all the same.
  void keep(const Kept& kept);
  void keep_soon(Kept kept);

 private:
  void run();
  void write(const Kept& kept) const;

  const std::string path_;
  std::mutex writing_;  // held while the file is written; taken before mutex_
  std::mutex mutex_;    // everything below
  std::condition_variable changed_;
  Kept due_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace headgate::app
