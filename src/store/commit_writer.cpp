#include "store/commit_writer.hpp"

#include <chrono>

#include "base/assert.hpp"

namespace shoal::store {

CommitWriter::CommitWriter(Commit commit, Callbacks callbacks)
    : commit_(std::move(commit)), callbacks_(std::move(callbacks)), thread_([this] { run(); }) {}

CommitWriter::~CommitWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CommitWriter::add(std::uint64_t sequence, std::vector<wire::Write> writes) {
  {
    const std::lock_guard lock(mutex_);
    SHOAL_ASSERT(sequence > newest_);
    newest_ = sequence;
    queue_.push_back(std::move(writes));
  }
  changed_.notify_one();
}

void CommitWriter::run() {
  std::vector<std::vector<wire::Write>> batches;
  while (true) {
    std::uint64_t sequence = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      batches.swap(queue_);
      sequence = newest_;
    }
    const auto began = std::chrono::steady_clock::now();
    const auto written = commit_(batches);
    const Duration took = std::chrono::steady_clock::now() - began;
    if (!written) {
      callbacks_.on_failed(written.error());
      return;
    }
    callbacks_.on_durable(sequence, took);
    batches.clear();
  }
}

ReadThread::ReadThread() : thread_([this] { run(); }) {}

ReadThread::~ReadThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ReadThread::add(Read read, OnRead on_read) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(read), std::move(on_read)});
  }
  changed_.notify_one();
}

void ReadThread::run() {
  std::vector<Request> requests;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (ending_) return;
      requests.swap(queue_);
    }
    for (const Request& request : requests) request.on_read(request.read());
    requests.clear();
  }
}

}  // namespace shoal::store
