// What is broken, on disk, so that it is mended whatever becomes of the tool.
//
// One file for each run or command, in a folder where every later start of the tool looks. A line
// is one JSON object, written whole and synced:
//
//   {"journal":1,"owner":{pid,start},"boot":"...","what":"...","against":"local:/..."}  the first
//   {"entry":3,"what":"pause n2","heal":[STEP...],"due":123456}  before anything is broken
//   {"entry":3,"mark":"healed","note":""}                      or "failed", after each try to mend
//   {"left":true}     the owner ends on purpose and leaves its faults to the dead man's timer
//   {"closed":true}   then the file is removed
//
// 1. An entry is durable before its fault is made, and its steps say all that mends it.
// 2. Entries are mended last first: what was laid over something is taken off before it.
// 3. Mending locks the entry, so the tool and its dead man never mend one at the same time.
// A torn last line is no entry: its fault was never made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/chaos/process.hpp"
#include "tools/chaos/step.hpp"

namespace shoal::chaos {

struct JournalEntry {
  std::uint32_t id = 0;
  std::string what;
  Steps heal;
  // When the dead man mends it, by the machine's steady clock; absent: when its owner dies.
  std::optional<std::chrono::milliseconds> due;
  bool healed = false;
  std::uint32_t failures = 0;
};

struct JournalContents {
  ProcessId owner;
  std::string boot;
  std::string what;
  std::string against;
  std::vector<JournalEntry> entries;
  bool left = false;
  bool closed = false;

  bool owned() const;    // By a process that lives.
  bool crashed() const;  // Its owner is gone and did not mean to leave anything.
  bool whole() const;    // Nothing is left to mend.
};

Result<JournalContents> read_journal(const std::filesystem::path& path);
JournalContents journal_contents(const std::string& lines);

// Where journals lie: below state_folder().
std::filesystem::path journal_folder();
std::vector<std::filesystem::path> journals();

class Journal {
 public:
  static Result<Journal> create(const std::filesystem::path& folder, const std::string& what,
                                const std::string& against);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();  // Closes no journal: what is not healed stays on record.

  const std::filesystem::path& path() const { return path_; }

  // On disk when it returns; the result is the entry's id.
  Result<std::uint32_t> open_entry(const std::string& what, const Steps& heal,
                                   std::optional<Ms> dead_man_after);
  // Removes the file. REQUIRES: all entries are healed.
  Result<void> close();
  // What is broken stays so until the dead man's timers, or `heal`.
  Result<void> leave();

 private:
  Journal(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}
  Result<void> write(const Json& line);

  std::filesystem::path path_;
  int file_ = -1;
  std::uint32_t last_ = 0;
};

}  // namespace shoal::chaos
