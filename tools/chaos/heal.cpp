#include "tools/chaos/heal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ranges>
#include <thread>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr Ms kLookEvery{200};
constexpr std::uint32_t kTriesMax = 5;

// The journal, opened for marks, with one entry locked against other menders: a byte of the file
// stands for it, there or not. Mending one entry may wait for what another's mending brings back.
class Locked {
 public:
  Locked(const fs::path& path, std::uint32_t entry)
      : file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)) {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = entry;
    lock.l_len = 1;
    while (file_ >= 0 && ::fcntl(file_, F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {
    }
  }
  ~Locked() {
    if (file_ >= 0) ::close(file_);
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

  bool open() const { return file_ >= 0; }

  void mark(std::uint32_t entry, const std::optional<Error>& error) {
    const std::string line = dumped({{"entry", entry},
                                     {"mark", error ? "failed" : "healed"},
                                     {"note", error ? error->message : ""}}) +
                             "\n";
    // A mark that is lost means that the entry is mended once more.
    [[maybe_unused]] const ssize_t written = ::write(file_, line.data(), line.size());
    ::fdatasync(file_);
  }

 private:
  int file_;
};

bool wanted(const JournalEntry& entry, Which which, std::uint32_t id) {
  if (entry.healed) return false;
  if (which == Which::one) return entry.id == id;
  if (which == Which::all) return true;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return entry.due && *entry.due <= std::chrono::duration_cast<Ms>(now) &&
         entry.failures < kTriesMax;
}

// After a boot of the machine no process and no mount of before is there: only files and containers
// are.
bool needless(const Step& step, bool same_boot) {
  if (same_boot || std::holds_alternative<Remove>(step)) return false;
  const auto* run = std::get_if<RunProgram>(&step);
  return run == nullptr || run->words.empty() || run->words.front() != "docker";
}

Healed heal_entry(const JournalEntry& entry, bool same_boot, const Perform& perform_step) {
  Healed healed{.entry = entry.id, .what = entry.what};
  for (const Step& step : entry.heal) {
    if (needless(step, same_boot)) continue;
    healed.commands.push_back(text_of(step));
    const auto done = perform_step ? perform_step(step) : perform(step);
    if (!done && !healed.error) healed.error = done.error();
  }
  return healed;
}

}  // namespace

std::vector<Healed> heal_journal(const fs::path& path, Which which, std::uint32_t entry,
                                 const Perform& perform_step) {
  const auto contents = read_journal(path);
  if (!contents) return {};
  std::vector<Healed> all;
  for (const JournalEntry& each : contents->entries | std::views::reverse) {
    if (!wanted(each, which, entry)) continue;
    Locked file(path, each.id);
    // Another mender may have been here meanwhile.
    const auto current = read_journal(path);
    if (!file.open() || !current) return all;
    const auto same = std::ranges::find(current->entries, each.id, &JournalEntry::id);
    if (same == current->entries.end() || !wanted(*same, which, entry)) continue;
    all.push_back(heal_entry(*same, current->boot == boot_id(), perform_step));
    file.mark(each.id, all.back().error);
  }
  return all;
}

std::vector<Healed> heal_everything(Whose whose) {
  std::vector<Healed> healed;
  for (const fs::path& path : journals()) {
    const auto contents = read_journal(path);
    if (!contents) continue;
    const bool mine = contents->crashed() || (whose != Whose::crashed && !contents->owned()) ||
                      whose == Whose::all;
    if (!mine) continue;
    std::ranges::move(heal_journal(path, Which::all), std::back_inserter(healed));
    const auto after = read_journal(path);
    std::error_code ignored;
    if (after && !after->owned() && after->whole()) fs::remove(path, ignored);
  }
  return healed;
}

int dead_man(const fs::path& journal) {
  // A Ctrl-C or a closed terminal ends the tool, not this.
  for (const int each : {SIGINT, SIGHUP, SIGTERM, SIGQUIT}) std::signal(each, SIG_IGN);
  std::uint32_t rounds = 0;
  while (true) {
    const auto contents = read_journal(journal);
    if (!contents || contents->closed) return 0;
    const bool crashed = contents->crashed();
    const bool overdue = std::ranges::any_of(contents->entries, [](const JournalEntry& entry) {
      return wanted(entry, Which::overdue, 0);
    });
    if (crashed || overdue) heal_journal(journal, crashed ? Which::all : Which::overdue);
    const auto after = read_journal(journal);
    if (after && !after->owned() && after->whole()) {
      std::error_code ignored;
      fs::remove(journal, ignored);
      return 0;
    }
    // What cannot be mended stays on record: the next start of the tool tells of it.
    if (crashed && ++rounds == kTriesMax) return 1;
    std::this_thread::sleep_for(crashed ? Ms(2000) : kLookEvery);
  }
}

Result<ProcessId> start_dead_man(const fs::path& journal) {
  return start_detached({this_program().string(), "dead-man", journal.string()}, "/dev/null");
}

}  // namespace shoal::chaos
