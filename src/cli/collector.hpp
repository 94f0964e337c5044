// Brings the output of a job's tasks to where the user wants it: a folder of results, or standard
// output, each task's in one piece.
//
// A short output comes whole with the task's end; a longer one is read from the node that ran it.
// A node that is away is given kNodeAwayMax to come back; then the last 16 KiB must do, and the
// loss is said and counted. What waits its turn is held in memory up to kHeldBytesMax; beyond that
// it is let go and read from its node again.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "cli/program.hpp"
#include "cli/results.hpp"

namespace shoal::cli {

inline constexpr std::size_t kHeldBytesMax = 64 * 1024 * 1024;
inline constexpr std::chrono::seconds kNodeAwayMax{30};

class Collector {
 public:
  struct Options {
    ResultsFolder* results = nullptr;    // None: standard output.
    bool keep_order = false;             // By index; for standard output only.
    std::uint64_t stream_bytes_max = 0;  // Where the executing node cuts a stream.
  };

  Collector(Program& program, JobId job, Options options)
      : program_(program), job_(job), options_(options) {}

  // REQUIRES: the task ended. Each task once.
  void on_ended(const TaskUpdate& update);
  // Returns when all that was taken has been brought.
  asio::awaitable<void> finish();

  std::uint32_t lost() const { return lost_; }  // Tasks whose output is not whole.
  const std::optional<Error>& error() const { return error_; }

 private:
  using Tails = std::array<std::string, 2>;
  struct Held {
    TaskStatus status;
    std::optional<Tails> tails;
  };

  bool whole(const Held& held) const;
  void take(Held held);
  void push(Held held);
  void bring_whole(const Held& held);
  asio::awaitable<void> work();
  asio::awaitable<void> bring(Held& held);
  asio::awaitable<bool> fetch(const Held& held, int stream);
  void put(std::uint32_t index, int stream, std::uint64_t offset, std::string_view bytes);
  std::uint64_t size_of(const TaskStatus& status, int stream) const;

  Program& program_;
  JobId job_;
  Options options_;
  std::deque<Held> queue_;
  std::map<std::uint32_t, Held> early_;  // Waiting for smaller indices.
  std::uint32_t next_index_ = 0;
  std::size_t held_bytes_ = 0;
  int workers_ = 0;
  std::uint32_t lost_ = 0;
  std::optional<Error> error_;  // The first failed write; nothing is written after it.
};

}  // namespace shoal::cli
