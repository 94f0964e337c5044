#include "tools/chaos/recording.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>

namespace shoal::chaos {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

Result<LineFile> LineFile::create(const fs::path& path) {
  LineFile file;
  file.file_.reset(std::fopen(path.c_str(), "we"));
  if (file.file_) return file;
  return fail(ErrorCode::io, text(path.string(), " cannot be made: ", std::strerror(errno)));
}

void LineFile::write(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), file_.get());
  std::fputc('\n', file_.get());
}

void LineFile::flush() { std::fflush(file_.get()); }

Result<Recording> Recording::create(const fs::path& folder) {
  Recording recording;
  std::error_code error;
  recording.folder_ = fs::absolute(folder, error);
  fs::create_directories(recording.folder_ / "nodes", error);
  if (error) {
    return fail(ErrorCode::io, text("the folder ", folder.string(), " cannot be made: ",
                                    error.message(), ". Name another one with --out"));
  }
  for (const auto& [file, name] : {std::pair{&recording.events_, "events.jsonl"},
                                   {&recording.faults_, "faults.jsonl"},
                                   {&recording.history_, "history.jsonl"},
                                   {&recording.metrics_, "metrics.csv"}}) {
    auto made = LineFile::create(recording.folder_ / name);
    if (!made) return std::unexpected(made.error());
    *file = std::move(*made);
  }
  recording.metrics_.write(
      "t,node,running,ready,tasks_run,tasks_stolen,tasks_given,shards_owned,shards_home,records,"
      "commits,resident_bytes,sync_p50_us,sync_p99_us,cpu_millis_free,dropped_inputs");
  recording.origin_ = SteadyClock::now();
  return recording;
}

Time Recording::now() const {
  return std::chrono::duration_cast<Time>(SteadyClock::now() - origin_);
}

Json Recording::timed(Json fields) const {
  Json line{{"t", now().count()}};
  line.update(fields);
  return line;
}

void Recording::event(const char* name, Json fields) {
  Json line{{"t", now().count()}, {"event", name}};
  if (!fields.is_null()) line.update(fields);
  events_.write(dumped(line));
}

void Recording::fault(Json line) {
  faults_.write(dumped(timed(std::move(line))));
  faults_.flush();
}

void Recording::history(Json line) { history_.write(dumped(timed(std::move(line)))); }

void Recording::metrics(const std::string& node, const NodeFigures& is) {
  metrics_.write(text(now().count(), ",", node, ",", is.running, ",", is.ready, ",", is.tasks_run,
                      ",", is.tasks_stolen, ",", is.tasks_given, ",", is.shards_owned, ",",
                      is.shards_home, ",", is.records, ",", is.commits, ",", is.resident_bytes, ",",
                      is.sync.p50, ",", is.sync.p99, ",", is.cpu_millis_free, ",",
                      is.dropped_inputs));
}

void Recording::acknowledged(std::uint32_t tasks) {
  const auto bucket = static_cast<std::size_t>(now() / kRateBucket);
  if (acknowledgements_.size() <= bucket) acknowledgements_.resize(bucket + 1);
  acknowledgements_[bucket] += tasks;
}

void Recording::flush() {
  for (LineFile* file : {&events_, &faults_, &history_, &metrics_}) file->flush();
}

Result<void> Recording::save(const char* file, const std::string& content) const {
  std::ofstream stream(folder_ / file, std::ios::binary | std::ios::trunc);
  stream << content;
  stream.close();
  if (stream) return {};
  return fail(ErrorCode::io, text((folder_ / file).string(), " cannot be written"));
}

std::string run_folder_name(const std::string& scenario, std::uint64_t seed) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H%M%S", &parts);
  return text(stamp.data(), "-", scenario, "-s", seed);
}

}  // namespace shoal::chaos
