#include "controlplane/push/last_word.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace headgate::push {
namespace {

struct Call {
  explicit Call(std::thread::id& thread) : died_on(thread) {}
  ~Call() { died_on = std::this_thread::get_id(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::thread::id& died_on;
  LastWord last_word;
};

class LastWordTest : public testing::Test {
 protected:
  // As gRPC does it: the callback's own reference is the last but that of the one who waits.
  void pass_on_another_thread(const std::shared_ptr<Call>& call) {
    std::thread grpc([this, call]() mutable {
      LastWord& last_word = call->last_word;
      last_word.pass(*io, std::move(call), [this](const Call&) { ++handled; });
    });
    call->last_word.wait();
    grpc.join();
  }

  std::optional<asio::io_context> io{std::in_place};
  std::thread::id died_on;
  int handled = 0;
};

TEST_F(LastWordTest, ACallGoesOnTheLoopsThreadAfterItsHandler) {
  pass_on_another_thread(std::make_shared<Call>(died_on));
  EXPECT_EQ(died_on, std::thread::id()) << "it waits for the loop";
  io->poll();
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(died_on, std::this_thread::get_id());
}

TEST_F(LastWordTest, ACallGoesWithTheLoopThatRunsNoMore) {
  pass_on_another_thread(std::make_shared<Call>(died_on));
  io.reset();
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(died_on, std::this_thread::get_id());
}

}  // namespace
}  // namespace headgate::push
