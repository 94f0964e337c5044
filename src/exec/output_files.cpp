#include "exec/output_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "base/format.hpp"

namespace shoal::exec {

OutputFiles::OutputFiles(const std::string& data_folder) {
  std::error_code error;
  data_folder_ = std::filesystem::absolute(data_folder, error).lexically_normal().string();
  if (error) data_folder_ = data_folder;
}

Result<void> OutputFiles::prepare() {
  for (const char* name : {"output", "scratch"}) {
    const std::filesystem::path folder = std::filesystem::path(data_folder_) / name;
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      return fail(ErrorCode::io,
                  format("folder `{}` could not be made: {}; check the owner and the free space of "
                         "the data folder",
                         folder.string(), error.message()));
    }
    chmod(folder.c_str(), 0700);
  }
  return {};
}

std::string OutputFiles::file(AttemptId attempt, task::Stream stream) const {
  return format("{}/output/{}/{}.{}.{}", data_folder_, to_string(attempt.task.job),
                attempt.task.index, attempt.number, stream == task::Stream::out ? "out" : "err");
}

std::string OutputFiles::scratch_folder(AttemptId attempt) const {
  return format("{}/scratch/{}.{}.{}", data_folder_, to_string(attempt.task.job),
                attempt.task.index, attempt.number);
}

void OutputFiles::on_started(AttemptId attempt) { running_.insert(attempt); }

void OutputFiles::on_ended(AttemptId attempt) {
  running_.erase(attempt);
  if (!ended_.insert(attempt).second) return;
  ended_order_.push_back(attempt);
  if (ended_order_.size() > kEndedRemembered) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
}

task::OutputPiece OutputFiles::read(const task::OutputRead& request) const {
  const bool running = running_.contains(request.attempt);
  task::OutputPiece piece{.request = request.request,
                          .known = running || ended_.contains(request.attempt),
                          .ended = !running,
                          .offset = request.offset,
                          .bytes = {}};
  const std::string path = file(request.attempt, request.stream);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    piece.ended = piece.known && !running;
    return piece;
  }
  piece.known = true;
  piece.bytes.resize(std::min<std::size_t>(request.bytes_max, kOutputReadBytesMax));
  const auto offset = static_cast<off_t>(
      std::min<std::uint64_t>(request.offset, std::numeric_limits<off_t>::max()));
  const ssize_t count = pread(descriptor, piece.bytes.data(), piece.bytes.size(), offset);
  piece.bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  struct stat status{};
  const bool sized = fstat(descriptor, &status) == 0;
  close(descriptor);
  const std::uint64_t end = request.offset + piece.bytes.size();
  piece.ended = !running && sized && end >= static_cast<std::uint64_t>(status.st_size);
  return piece;
}

std::vector<JobId> OutputFiles::jobs() const {
  std::vector<JobId> jobs;
  std::error_code error;
  const auto folder = std::filesystem::path(data_folder_) / "output";
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto job = parse_job_id(entry->path().filename().string())) jobs.push_back(*job);
  }
  return jobs;
}

void OutputFiles::remove_job(JobId job) {
  std::error_code ignored;  // What cannot be removed is found again by jobs().
  std::filesystem::remove_all(std::filesystem::path(data_folder_) / "output" / to_string(job),
                              ignored);
  std::erase_if(ended_order_, [job](const AttemptId& attempt) { return attempt.task.job == job; });
  std::erase_if(ended_, [job](const AttemptId& attempt) { return attempt.task.job == job; });
}

}  // namespace shoal::exec
