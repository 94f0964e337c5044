#include "store/folder.hpp"

#include <unistd.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "damage.hpp"
#include "scratch.hpp"
#include "store/keys.hpp"

namespace shoal::store {
namespace {

namespace fs = std::filesystem;

// The lines of at least warning level that are logged while it lives.
class Warnings {
 public:
  Warnings() {
    log::set_sink([this](log::Level level, std::string_view, std::string_view line) {
      if (level >= log::Level::warn) lines_.emplace_back(line);
    });
  }
  ~Warnings() { log::set_sink({}); }
  Warnings(const Warnings&) = delete;
  Warnings& operator=(const Warnings&) = delete;
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

Result<void> promise_something(Store& store) {
  const std::vector<std::vector<wire::Write>> batches{{wire::PutMeta{"cluster", "a"}}};
  return store.write(batches);
}

// A folder in which a node lived that promised something.
DataFolder lived_in(const fs::path& path, NodeId& id) {
  auto folder = DataFolder::open(path);
  REQUIRE(folder);
  const auto opened = folder->open_store();
  REQUIRE(opened);
  id = opened->id;
  REQUIRE(promise_something(*opened->store));
  return std::move(*folder);
}

bool has_fact(const fs::path& database) {
  auto store = Store::open(database);
  REQUIRE(store);
  bool found = false;
  REQUIRE((*store)->recover(
      {.meta = [&](std::string_view name, std::string_view) { return found = name == "cluster"; },
       .shard = {},
       .record = {}}));
  return found;
}

// Opens the store again and checks that another node lives there from now on, that it said so in
// one line, and that nothing was deleted.
void check_replaced(const DataFolder& folder, NodeId former, std::string_view why) {
  const Warnings warnings;
  NodeId made;
  {
    const auto opened = folder.open_store();
    REQUIRE(opened);
    made = opened->id;
    CHECK(made != former);
    CHECK(opened->store->blank());
  }
  REQUIRE(warnings.lines().size() == 1);
  CHECK(warnings.lines()[0].find(why) != std::string::npos);
  CHECK(warnings.lines()[0].find((folder.path() / "old-identity-1").string()) != std::string::npos);
  CHECK(folder.open_store().value().id == made);
  CHECK(warnings.lines().size() == 1);
}

}  // namespace

TEST_CASE("store: a folder keeps its identity") {
  const Scratch scratch;
  const Warnings warnings;
  NodeId first;
  {
    lived_in(scratch.path() / "deep" / "node", first);
  }
  auto folder = DataFolder::open(scratch.path() / "deep" / "node");
  REQUIRE(folder);
  CHECK(folder->open_store().value().id == first);
  CHECK(warnings.lines().empty());
}

TEST_CASE("store: a folder in use is refused and its user is named") {
  const Scratch scratch;
  const auto folder = DataFolder::open(scratch.path());
  REQUIRE(folder);
  const auto second = DataFolder::open(scratch.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::refused);
  CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  CHECK(second.error().message.find("--data") != std::string::npos);
}

TEST_CASE("store: a store without its identity becomes a new node's, the old one is kept") {
  const Scratch scratch;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  fs::remove(folder.path() / "node.id");
  check_replaced(folder, former, "node.id is missing");
  CHECK(has_fact(folder.path() / "old-identity-1" / "db"));
}

TEST_CASE("store: an identity without its store becomes a new node, the old one is kept") {
  const bool mount_point = false;
  for (const bool emptied : {mount_point, true}) {
    const Scratch scratch;
    NodeId former;
    const DataFolder folder = lived_in(scratch.path(), former);
    fs::remove_all(folder.database());
    if (emptied) fs::create_directory(folder.database());
    check_replaced(folder, former, short_text(former));
    CHECK(fs::exists(folder.path() / "old-identity-1" / "node.id"));
  }
}

TEST_CASE("store: an identity and a store that do not match are both set aside") {
  const Scratch scratch;
  NodeId former;
  NodeId other;
  const DataFolder folder = lived_in(scratch.path() / "one", former);
  const DataFolder stranger = lived_in(scratch.path() / "two", other);
  fs::remove_all(folder.database());
  fs::copy(stranger.database(), folder.database(), fs::copy_options::recursive);
  check_replaced(folder, former, "not that of node " + short_text(former));
  CHECK(has_fact(folder.path() / "old-identity-1" / "db"));
  CHECK(fs::exists(folder.path() / "old-identity-1" / "node.id"));
}

TEST_CASE("store: a store that was replaced by a blank one is a lost store") {
  const Scratch scratch;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  fs::remove_all(folder.database());
  REQUIRE(Store::open(folder.database()));
  check_replaced(folder, former, "not that of");
}

TEST_CASE("store: an identity file that holds none is a lost identity") {
  const Scratch scratch;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  std::ofstream(folder.path() / "node.id") << "not an id\n";
  check_replaced(folder, former, "holds no identity");
}

TEST_CASE("store: parts of a database are a lost store") {
  const Scratch scratch;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  fs::remove(folder.path() / "node.id");
  fs::remove(folder.database() / "CURRENT");
  check_replaced(folder, former, "only parts");
}

TEST_CASE("store: a wiped folder is a new node's, without a word") {
  const Scratch scratch;
  const Warnings warnings;
  NodeId former;
  {
    lived_in(scratch.path() / "node", former);
  }
  fs::remove_all(scratch.path() / "node");
  const auto folder = DataFolder::open(scratch.path() / "node");
  REQUIRE(folder);
  CHECK(folder->open_store().value().id != former);
  CHECK(warnings.lines().empty());
}

TEST_CASE("store: a new identity can be asked for, again and again") {
  const Scratch scratch;
  const Warnings warnings;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  const NodeId second = folder.open_store(true).value().id;
  const NodeId third = folder.open_store(true).value().id;
  CHECK(former != second);
  CHECK(second != third);
  CHECK(folder.open_store().value().id == third);
  CHECK(has_fact(folder.path() / "old-identity-1" / "db"));
  CHECK(fs::exists(folder.path() / "old-identity-2" / "db"));
  CHECK(warnings.lines().size() == 2);
}

TEST_CASE("store: a new identity helps when the database itself is damaged") {
  const Scratch scratch;
  const Warnings warnings;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  for (const auto& file : fs::directory_iterator(folder.database())) {
    const bool manifest = file.path().filename().string().starts_with("MANIFEST");
    if (manifest) std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << "nonsense";
  }
  const auto refused = folder.open_store();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("--new-identity") != std::string::npos);
  CHECK(folder.open_store(true).value().id != former);
}

TEST_CASE("store: a first start that a crash cut short is one again") {
  const Scratch scratch;
  const Warnings warnings;
  const auto folder = DataFolder::open(scratch.path());
  REQUIRE(folder);
  REQUIRE(Store::open(folder->database()));
  const NodeId id = folder->open_store().value().id;
  CHECK(id);
  // The database has the identity, the file has not yet.
  fs::remove(folder->path() / "node.id");
  CHECK(folder->open_store().value().id == id);
  CHECK(warnings.lines().empty());
}

TEST_CASE("store: a stored identity that fails its checksum is refused") {
  const Scratch scratch;
  NodeId former;
  const DataFolder folder = lived_in(scratch.path(), former);
  damage(folder.database(), std::string(kIdentityKey));
  const auto refused = folder.open_store();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("--new-identity") != std::string::npos);
}

TEST_CASE("store: a path that cannot be a folder gives an error that says what to do") {
  const Scratch scratch;
  std::ofstream(scratch.path() / "file") << "x";
  for (const fs::path& path : {scratch.path() / "file", fs::path("/proc/shoal")}) {
    const auto folder = DataFolder::open(path);
    REQUIRE_FALSE(folder);
    CHECK(folder.error().code == ErrorCode::io);
    CHECK(folder.error().message.find("permissions") != std::string::npos);
  }
  const auto store = Store::open(scratch.path() / "file");
  CHECK_FALSE(store);
}

}  // namespace shoal::store
