// The group-commit thread (DeWitt et al., SIGMOD 1984, section 5.2): all batches that queue while
// one sync runs are made durable by the next.
//
// It never waits to collect a larger group: a batch that finds the disk idle is synced at once, and
// under load the last sync's duration is the window. Batches become durable in the order of their
// numbers. Callbacks run on the writer's thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/time.hpp"
#include "shoal/result.hpp"
#include "wire/persist.hpp"

namespace shoal::store {

class CommitWriter {
 public:
  using Commit = std::function<Result<void>(std::span<const std::vector<wire::Write>>)>;
  struct Callbacks {
    // Every batch up to `sequence` is on the disk; `took` is what this sync took.
    std::function<void(std::uint64_t sequence, Duration took)> on_durable;
    // The disk failed: the process must end. No further batch is tried, nothing is called again.
    std::function<void(const Error&)> on_failed;
  };

  CommitWriter(Commit commit, Callbacks callbacks);
  ~CommitWriter();  // Syncs what queues, then ends the thread.
  CommitWriter(const CommitWriter&) = delete;
  CommitWriter& operator=(const CommitWriter&) = delete;

  // REQUIRES: `sequence` is greater than those before.
  void add(std::uint64_t sequence, std::vector<wire::Write> writes);

 private:
  void run();

  const Commit commit_;
  const Callbacks callbacks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<wire::Write>> queue_;
  std::uint64_t newest_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

// Reads single records off the loop's thread. Callbacks run on the reader's thread, in the order of
// the requests. The queue has no limit of its own, as a request that is dropped would look like a
// record that is lost; it is short because those who ask limit what they have under way.
class ReadThread {
 public:
  using Read = std::function<std::optional<wire::Record>()>;
  using OnRead = std::function<void(std::optional<wire::Record>)>;

  ReadThread();
  ~ReadThread();  // Drops what queues.
  ReadThread(const ReadThread&) = delete;
  ReadThread& operator=(const ReadThread&) = delete;

  void add(Read read, OnRead on_read);

 private:
  struct Request {
    Read read;
    OnRead on_read;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request> queue_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace shoal::store
