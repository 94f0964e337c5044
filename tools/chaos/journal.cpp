#include "tools/chaos/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "tools/chaos/dev_folder.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;

void take_line(JournalContents& contents, const Json& line) {
  if (line.contains("journal")) {
    const Json owner = field(line, "owner", Json::object());
    contents.owner = {.pid = field(owner, "pid", pid_t{0}),
                      .start = field(owner, "start", std::uint64_t{0})};
    contents.boot = field(line, "boot", std::string());
    contents.what = field(line, "what", std::string());
    contents.against = field(line, "against", std::string());
    return;
  }
  contents.closed = contents.closed || field(line, "closed", false);
  contents.left = contents.left || field(line, "left", false);
  const auto id = field(line, "entry", std::uint32_t{0});
  if (id == 0) return;
  const std::string mark = field(line, "mark", std::string());
  if (mark.empty()) {
    JournalEntry entry{.id = id, .what = field(line, "what", std::string())};
    // Steps of a newer version are left to it.
    entry.heal = steps_of(field(line, "heal", Json())).value_or(Steps());
    if (line.contains("due")) entry.due = Ms(field(line, "due", std::int64_t{0}));
    contents.entries.push_back(std::move(entry));
    return;
  }
  const auto entry = std::ranges::find(contents.entries, id, &JournalEntry::id);
  if (entry == contents.entries.end()) return;
  if (mark == "healed") entry->healed = true;
  if (mark == "failed") ++entry->failures;
}

Error cannot_write(const fs::path& path) {
  return {ErrorCode::io,
          text("the journal ", path.string(), " cannot be written (", std::strerror(errno),
               "), so nothing is broken: whatever is broken must stand there first")};
}

}  // namespace

bool JournalContents::owned() const { return boot == boot_id() && lives(owner); }

bool JournalContents::crashed() const {
  return boot != boot_id() || (!left && !closed && !lives(owner));
}

bool JournalContents::whole() const { return std::ranges::all_of(entries, &JournalEntry::healed); }

JournalContents journal_contents(const std::string& lines) {
  JournalContents contents;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    if (stream.eof()) break;  // No line's end: torn.
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object()) take_line(contents, json);
  }
  return contents;
}

Result<JournalContents> read_journal(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::not_found, text("there is no journal ", path.string()));
  const std::string lines{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return journal_contents(lines);
}

fs::path journal_folder() { return state_folder() / "chaos"; }

std::vector<fs::path> journals() {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator at(journal_folder(), error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".journal") paths.push_back(at->path());
  }
  std::ranges::sort(paths);
  return paths;
}

Result<Journal> Journal::create(const fs::path& folder, const std::string& what,
                                const std::string& against) {
  std::error_code error;
  fs::create_directories(folder, error);
  const ProcessId self = this_process();
  const fs::path path = folder / text(self.pid, "-", self.start, ".journal");
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(cannot_write(path));
  Journal journal(path, file);
  const auto written = journal.write({{"journal", kVersion},
                                      {"owner", {{"pid", self.pid}, {"start", self.start}}},
                                      {"boot", boot_id()},
                                      {"what", what},
                                      {"against", against}});
  if (!written) return std::unexpected(written.error());
  return journal;
}

Journal::Journal(Journal&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)), last_(other.last_) {}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

Result<void> Journal::write(const Json& line) {
  const std::string whole = dumped(line) + "\n";
  const auto size = static_cast<ssize_t>(whole.size());
  if (::write(file_, whole.data(), whole.size()) != size || ::fdatasync(file_) != 0) {
    return std::unexpected(cannot_write(path_));
  }
  return {};
}

Result<std::uint32_t> Journal::open_entry(const std::string& what, const Steps& heal,
                                          std::optional<Ms> dead_man_after) {
  Json line{{"entry", ++last_}, {"what", what}, {"heal", json_of(heal)}};
  if (dead_man_after) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    line["due"] = (std::chrono::duration_cast<Ms>(now) + *dead_man_after).count();
  }
  const auto written = write(line);
  if (!written) return std::unexpected(written.error());
  return last_;
}

Result<void> Journal::close() {
  const auto written = write({{"closed", true}});
  if (!written) return written;
  std::error_code error;
  fs::remove(path_, error);
  return {};
}

Result<void> Journal::leave() { return write({{"left", true}}); }

}  // namespace shoal::chaos
