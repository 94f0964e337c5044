// The journal, and mending what stands there.
#include "tools/chaos/heal.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

// A folder that is gone afterwards.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("shoal-chaos-" + random_token())) {
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Journal create(const Folder& folder) {
  auto journal = Journal::create(folder.path(), "test", "local");
  REQUIRE(journal);
  return *std::move(journal);
}

Steps wait_of(int ms) { return {Wait{Ms(ms)}}; }

std::vector<std::string> whats(const std::vector<Healed>& healed) {
  std::vector<std::string> all;
  for (const Healed& each : healed) all.push_back(each.what);
  return all;
}

TEST_CASE("journal: every kind of step reads back as it was written") {
  const ProcessId process{.pid = 12, .start = 345};
  const Steps steps{
      SendSignal{process, SIGCONT, "n1"},
      SignalTree{process, SIGKILL, "n1's tasks"},
      AwaitEnd{process, Ms(500), "n1"},
      Wait{Ms(20)},
      RunProgram{.words = {"umount", "-l", "/a b"}, .good = {0, 32}},
      StartProgram{.words = {"x"}, .log = "/dev/null"},
      EndMarked{.mark = "shoal-chaos-0123456789abcdef", .grace = Ms(7)},
      StartNode{.shoal = "shoal", .folder = "/f", .name = "n1"},
      StartRecorded{.words = {"x", "y"}, .log = "/dev/null", .record = "/f/n1.pid"},
      Remove{.path = "/f/ballast"},
      FillDisk{.path = "/f/ballast", .leave = 9},
  };
  REQUIRE(steps.size() == std::variant_size_v<Step>);
  const auto again = steps_of(json_of(steps));
  REQUIRE(again);
  CHECK(*again == steps);
}

TEST_CASE("heal: entries are mended once, the last one first") {
  const Folder folder;
  Journal journal = create(folder);
  REQUIRE(journal.open_entry("first", wait_of(1), std::nullopt));
  REQUIRE(journal.open_entry("second", wait_of(2), std::nullopt));
  std::vector<Step> done;
  const auto watch = [&done](const Step& step) -> Result<void> {
    done.push_back(step);
    return {};
  };
  CHECK(whats(heal_journal(journal.path(), Which::all, 0, watch)) ==
        std::vector<std::string>{"second", "first"});
  CHECK(done == Steps{Wait{Ms(2)}, Wait{Ms(1)}});
  CHECK(heal_journal(journal.path(), Which::all, 0, watch).empty());
  CHECK(done.size() == 2);
  CHECK(read_journal(journal.path())->whole());
}

TEST_CASE("heal: a step that fails does not stop the others, and the entry is tried again") {
  const Folder folder;
  Journal journal = create(folder);
  const Steps steps{Wait{Ms(1)}, Wait{Ms(2)}};
  REQUIRE(journal.open_entry("two steps", steps, std::nullopt));
  int tries = 0;
  const auto fail_first = [&tries](const Step&) -> Result<void> {
    if (++tries == 1) return fail(ErrorCode::io, "not this time");
    return {};
  };
  const auto healed = heal_journal(journal.path(), Which::all, 0, fail_first);
  REQUIRE(healed.size() == 1);
  REQUIRE(healed[0].error);
  CHECK(tries == 2);
  CHECK(read_journal(journal.path())->entries[0].failures == 1);
  CHECK_FALSE(heal_journal(journal.path(), Which::all, 0, fail_first)[0].error);
  CHECK(read_journal(journal.path())->whole());
}

TEST_CASE("heal: the dead man's time is up for those entries only that are overdue") {
  const Folder folder;
  Journal journal = create(folder);
  REQUIRE(journal.open_entry("soon", wait_of(0), Ms(0)));
  REQUIRE(journal.open_entry("later", wait_of(0), Ms(60'000)));
  REQUIRE(journal.open_entry("with its owner", wait_of(0), std::nullopt));
  CHECK(whats(heal_journal(journal.path(), Which::overdue)) == std::vector<std::string>{"soon"});
  CHECK(whats(heal_journal(journal.path(), Which::one, 3)) ==
        std::vector<std::string>{"with its owner"});
}

TEST_CASE("heal: one entry's mending does not wait for another's, its own is done once") {
  const Folder folder;
  Journal journal = create(folder);
  REQUIRE(journal.open_entry("slow", wait_of(1), std::nullopt));
  REQUIRE(journal.open_entry("quick", wait_of(2), std::nullopt));
  std::atomic<bool> begun = false;
  std::atomic<bool> enough = false;
  std::atomic<int> slow_ones = 0;
  const auto slow = [&](const Step&) -> Result<void> {
    begun = true;
    ++slow_ones;
    while (!enough) ::usleep(1000);
    return {};
  };
  std::thread first([&] { heal_journal(journal.path(), Which::one, 1, slow); });
  while (!begun) ::usleep(1000);
  std::thread second([&] { heal_journal(journal.path(), Which::one, 1, slow); });
  CHECK(heal_journal(journal.path(), Which::one, 2).size() == 1);
  enough = true;
  first.join();
  second.join();
  CHECK(slow_ones == 1);
  CHECK(read_journal(journal.path())->whole());
}

TEST_CASE("journal: a torn last line is no entry") {
  const Folder folder;
  Journal journal = create(folder);
  REQUIRE(journal.open_entry("whole", wait_of(0), std::nullopt));
  std::ofstream(journal.path(), std::ios::app) << R"({"entry":2,"what":"torn","heal":[)";
  const auto contents = read_journal(journal.path());
  REQUIRE(contents);
  CHECK(contents->entries.size() == 1);
}

TEST_CASE("journal: its owner has died: crashed, but not when it left on purpose") {
  const Folder folder;
  Journal journal = create(folder);
  CHECK(read_journal(journal.path())->owned());
  CHECK_FALSE(read_journal(journal.path())->crashed());
  JournalContents contents = *read_journal(journal.path());
  contents.owner.start += 1;  // Another process has the number now.
  CHECK(contents.crashed());
  REQUIRE(journal.leave());
  contents = *read_journal(journal.path());
  contents.owner.start += 1;
  CHECK_FALSE(contents.crashed());
}

TEST_CASE("heal: a paused process goes on, and a second healing harms nobody") {
  const Folder folder;
  Journal journal = create(folder);
  const auto sleeper = start_detached({"sleep", "60"}, "/dev/null");
  REQUIRE(sleeper);
  REQUIRE(journal.open_entry("pause", {SendSignal{*sleeper, SIGCONT, "it"}}, std::nullopt));
  REQUIRE(send_signal(*sleeper, SIGSTOP));
  while (!stopped(*sleeper)) ::usleep(1000);
  heal_journal(journal.path(), Which::all);
  while (stopped(*sleeper)) ::usleep(1000);
  CHECK(lives(*sleeper));
  CHECK(heal_journal(journal.path(), Which::all).empty());
  send_signal(*sleeper, SIGKILL);
  CHECK(wait_for_end(*sleeper, Ms(5000)));
}

TEST_CASE("steps: a signal does not reach a process that only has the number of the one meant") {
  const auto sleeper = start_detached({"sleep", "60"}, "/dev/null");
  REQUIRE(sleeper);
  ProcessId other = *sleeper;
  ++other.start;
  CHECK_FALSE(send_signal(other, SIGKILL));
  CHECK(lives(*sleeper));
  send_signal(*sleeper, SIGKILL);
  CHECK(wait_for_end(*sleeper, Ms(5000)));
}

TEST_CASE("processes: those that end while they are looked at are no trouble") {
  std::atomic<bool> enough = false;
  std::thread others([&enough] {
    while (!enough) static_cast<void>(run_program({"true"}, Ms(5000)));
  });
  const std::string mark = random_token();
  for (int i = 0; i < 150; ++i) CHECK(marked_processes(mark).empty());
  enough = true;
  others.join();
}

TEST_CASE("steps: folders that the tool did not make are not removed, short marks not killed by") {
  const Folder folder;
  const fs::path strange = fs::temp_directory_path() / ("strange-" + random_token());
  fs::create_directories(strange);
  CHECK_FALSE(perform(Remove{.path = strange.string(), .all = true}));
  CHECK(fs::exists(strange));
  fs::remove(strange);
  CHECK(perform(Remove{.path = folder.path().string(), .all = true}));
  CHECK(perform(Remove{.path = folder.path().string(), .all = true}));
  CHECK_FALSE(perform(EndMarked{.mark = "shoal"}));
}

}  // namespace
}  // namespace shoal::chaos
