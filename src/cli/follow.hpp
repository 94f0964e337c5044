// Follows one task to its end and passes its two streams on as they come.
//
// A task that ends within kFollowAfter is told from the tails that come with its outcome; only a
// longer one has its output read from the executing node. Whatever way, each byte is passed on
// once; an attempt that is tried again begins anew after a note.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "cli/program.hpp"

namespace shoal::cli {

class TaskFollower : public std::enable_shared_from_this<TaskFollower> {
 public:
  using OnBytes = std::function<void(int stream, std::string_view bytes)>;

  TaskFollower(Program& program, TaskId task, OnBytes on_bytes)
      : program_(program), task_(task), on_bytes_(std::move(on_bytes)) {}

  // The task's last status, after all of its output that could be had was passed on.
  asio::awaitable<Result<TaskStatus>> follow();

 private:
  struct StreamPlace {
    std::uint32_t attempt = 0;
    std::uint64_t offset = 0;  // Bytes of this attempt passed on.
    bool reading = false;
  };
  void on_update(const TaskUpdate& update);
  void on_piece(int stream, const LogPiece& piece);
  asio::awaitable<void> read_later(int stream);
  asio::awaitable<void> complete(int stream);

  Program& program_;
  TaskId task_;
  OnBytes on_bytes_;
  std::array<StreamPlace, 2> places_;
  std::optional<TaskUpdate> last_;
};

}  // namespace shoal::cli
