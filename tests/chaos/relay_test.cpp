// The relay: what passes, what does not, and what becomes of it, between sockets that stand for
// nodes.
#include "tools/chaos/relay.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/write.hpp>
#include <functional>

#include "tools/chaos/process.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;
using Tcp = asio::ip::tcp;
using Udp = asio::ip::udp;

constexpr std::uint32_t kNodes = 3;
constexpr Ms kPatience{5'000};
constexpr Ms kSilence{150};

// Of this test alone.
std::string fresh_subnet() {
  Random random(0, random_token());
  return text("127.", random.between(64, 254), ".", random.between(1, 254), ".");
}

// A relay and sockets at the own addresses of three nodes, all on one loop.
class World {
 public:
  World() : relay_(context, places(), 1) {
    REQUIRE(relay_.open(control()));
    for (std::uint32_t i = 1; i <= kNodes; ++i) {
      const RelayPlace here = place(i);
      datagrams_.emplace_back(context, Udp::endpoint(here.own, here.port)).non_blocking(true);
      acceptors_.emplace_back(context, Tcp::endpoint(here.own, here.port)).non_blocking(true);
    }
  }
  ~World() { fs::remove(control()); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  RelayPlace place(std::uint32_t number) const { return relay_place(subnet_, number, kNodes); }
  fs::path control() const { return fs::temp_directory_path() / ("relay-" + subnet_ + "sock"); }
  std::string tell(std::string_view line) { return relay_.command(line); }

  bool run_until(const std::function<bool()>& holds, Ms limit = kPatience) {
    const auto end = std::chrono::steady_clock::now() + limit;
    context.restart();
    bool held = holds();
    while (!held && std::chrono::steady_clock::now() < end) {
      context.run_for(Ms(2));
      held = holds();
    }
    return held;
  }
  void run_for(Ms time) {
    run_until([] { return false; }, time);
  }

  void send(std::uint32_t from, std::uint32_t to, std::string_view bytes) {
    const RelayPlace there = place(to);
    datagrams_[from - 1].send_to(asio::buffer(bytes), {there.front, there.port});
  }
  // What has arrived at a node, and where from.
  std::vector<std::pair<std::string, Udp::endpoint>> arrived(std::uint32_t node) {
    std::vector<std::pair<std::string, Udp::endpoint>> all;
    std::array<char, 2048> buffer{};
    while (true) {
      Udp::endpoint from;
      std::error_code error;
      const auto count = datagrams_[node - 1].receive_from(asio::buffer(buffer), from, 0, error);
      if (error) return all;
      all.emplace_back(std::string(buffer.data(), count), from);
    }
  }
  std::size_t arrivals(std::uint32_t from, std::uint32_t to, int count) {
    for (int i = 0; i < count; ++i) send(from, to, text("packet ", i));
    run_for(kSilence);
    return arrived(to).size();
  }

  Tcp::socket dial(const asio::ip::address& from, std::uint32_t to) {
    Tcp::socket socket(context, Tcp::endpoint(from, 0));
    socket.connect({place(to).front, place(to).port});
    socket.non_blocking(true);
    return socket;
  }
  // Absent when none comes in that time.
  std::optional<Tcp::socket> accept(std::uint32_t node, Ms limit = kPatience) {
    Tcp::socket socket(context);
    std::error_code error = asio::error::would_block;
    run_until(
        [&] {
          acceptors_[node - 1].accept(socket, error);
          return !error;
        },
        limit);
    if (error) return std::nullopt;
    socket.non_blocking(true);
    return socket;
  }
  struct Ends {
    Tcp::socket near;
    Tcp::socket far;
  };
  Ends stream(std::uint32_t from, std::uint32_t to) {
    Tcp::socket near = dial(place(from).own, to);
    auto far = accept(to);
    REQUIRE(far);
    return {std::move(near), *std::move(far)};
  }
  // One try; `error` says how it ended.
  static std::string read(Tcp::socket& socket, std::error_code& error) {
    std::array<char, 4096> buffer{};
    const std::size_t count = socket.read_some(asio::buffer(buffer), error);
    return {buffer.data(), count};
  }
  bool reads(Tcp::socket& socket, const std::string& words, Ms limit = kPatience) {
    std::string all;
    run_until(
        [&] {
          std::error_code error;
          all += read(socket, error);
          return all.size() >= words.size();
        },
        limit);
    return all == words;
  }
  bool closes(Tcp::socket& socket, Ms limit = kPatience) {
    std::error_code error;
    return run_until(
        [&] {
          read(socket, error);
          return error && error != asio::error::would_block;
        },
        limit);
  }

  asio::io_context context;

 private:
  std::vector<RelayPlace> places() const {
    std::vector<RelayPlace> all;
    for (std::uint32_t i = 1; i <= kNodes; ++i) all.push_back(place(i));
    return all;
  }
  const std::string subnet_ = fresh_subnet();
  Relay relay_;
  std::vector<Udp::socket> datagrams_;
  std::vector<Tcp::acceptor> acceptors_;
};

void write(Tcp::socket& socket, const std::string& words) {
  asio::write(socket, asio::buffer(words));
}

RelayRule rule(FaultKind kind, std::map<std::string, Value> parameters) {
  return {.fault = {.kind = kind, .parameters = std::move(parameters)},
          .links = {{"n1", "n2"}},
          .end = SteadyTime::max()};
}

}  // namespace

TEST_CASE("relay: datagrams and streams pass, seen from their sender's front") {
  World world;
  world.send(1, 2, "hello");
  std::vector<std::pair<std::string, Udp::endpoint>> heard;
  REQUIRE(world.run_until([&] { return !(heard = world.arrived(2)).empty(); }));
  CHECK(heard.front().first == "hello");
  CHECK(heard.front().second == Udp::endpoint(world.place(1).front, world.place(1).port));
  auto [near, far] = world.stream(1, 2);
  CHECK(far.remote_endpoint().address() == world.place(1).front);
  write(near, "question");
  CHECK(world.reads(far, "question"));
  write(far, "answer");
  CHECK(world.reads(near, "answer"));
  near.close();
  CHECK(world.closes(far));
}

TEST_CASE("relay: loss of all packets one way leaves the other way as it is") {
  World world;
  CHECK(world.tell("set 1 1m net.loss n1>n2 pct=100") == "ok");
  CHECK(world.arrivals(1, 2, 20) == 0);
  CHECK(world.arrivals(2, 1, 20) == 20);
  CHECK(world.arrivals(1, 3, 20) == 20);
  CHECK(world.tell("unset 1") == "ok");
  CHECK(world.arrivals(1, 2, 20) == 20);
}

TEST_CASE("relay: a cut holds what streams carry, and none opens before it is over") {
  World world;
  auto [near, far] = world.stream(1, 2);
  CHECK(world.tell("set 1 1m partition n1>n2") == "ok");
  write(near, "late");
  write(far, "in time");
  CHECK(world.reads(near, "in time"));
  CHECK_FALSE(world.reads(far, "late", kSilence));
  Tcp::socket newer = world.dial(world.place(2).own, 1);
  CHECK_FALSE(world.accept(1, kSilence));
  CHECK(world.arrivals(1, 2, 5) == 0);
  CHECK(world.tell("unset 1") == "ok");
  CHECK(world.reads(far, "late"));
  CHECK(world.accept(1));
}

TEST_CASE("relay: no rule concerns clients") {
  World world;
  CHECK(world.tell("set 1 1m partition n1>n2,n2>n1,n1>n3,n3>n1") == "ok");
  Tcp::socket client = world.dial(asio::ip::make_address("127.0.0.1"), 1);
  auto node = world.accept(1);
  REQUIRE(node);
  write(client, "question");
  CHECK(world.reads(*node, "question"));
}

TEST_CASE("relay: a sliced stream arrives in pieces, whole and in order") {
  World world;
  CHECK(world.tell("set 1 1m net.slice n1>n2 bytes=3 ms=2") == "ok");
  auto [near, far] = world.stream(1, 2);
  std::string words;
  for (int i = 0; i < 30; ++i) words += text("piece ", i, ";");
  write(near, words);
  std::string all;
  std::size_t longest = 0;
  CHECK(world.run_until([&] {
    std::error_code error;
    const std::string piece = World::read(far, error);
    longest = std::max(longest, piece.size());
    all += piece;
    return all.size() >= words.size();
  }));
  CHECK(all == words);
  CHECK(longest < words.size() / 4);
}

TEST_CASE("relay: of a half-open stream one end is reset, the other hears of it when it is over") {
  World world;
  auto [near, far] = world.stream(1, 2);
  CHECK(world.tell("set 1 1m net.half_open n1>n2") == "ok");
  CHECK(world.closes(far));
  CHECK_FALSE(world.closes(near, kSilence));
  write(near, "into the void");
  CHECK_FALSE(world.closes(near, kSilence));
  CHECK(world.tell("unset 1") == "ok");
  CHECK(world.closes(near));
}

TEST_CASE("relay: a late packet of a stream keeps those behind it back") {
  World world;
  auto [near, far] = world.stream(1, 2);
  CHECK(world.tell("set 1 1m net.delay n1>n2 ms=200 jitter=100") == "ok");
  const auto begun = std::chrono::steady_clock::now();
  std::string words;
  for (int i = 0; i < 20; ++i) {
    write(near, text(i, ";"));
    words += text(i, ";");
    world.run_for(Ms(5));
  }
  CHECK(world.reads(far, words));
  CHECK(std::chrono::steady_clock::now() - begun >= Ms(100));
}

TEST_CASE("relay: a rule that nobody takes back goes when its time is over") {
  World world;
  CHECK(world.tell("set 7 50ms net.loss n1>n2 pct=100") == "ok");
  CHECK(world.tell("state") == "ok 1 rules, 0 streams");
  CHECK(world.run_until([&] { return world.tell("state") == "ok 0 rules, 0 streams"; }));
  CHECK(world.arrivals(1, 2, 5) == 5);
}

TEST_CASE("relay: what it is told by a fault's plan is what it understands") {
  World world;
  const Fault fault{.kind = FaultKind::net_delay,
                    .parameters = {{"ms", 20.5}, {"jitter", 3.0}, {"way", "out"}}};
  const auto words = relay_words(4, Ms(90'000), fault, {{"n1", "n2"}, {"n1", "n3"}});
  CHECK(joined(words, " ") == "set 4 1m30s net.delay n1>n2,n1>n3 jitter=3 ms=20.50");
  CHECK(world.tell(joined(words, " ")) == "ok");
  for (const char* line : {"", "sing", "set 1 1m kill n1>n2", "set 1 1m net.loss n1 pct=5",
                           "set 1 1m net.loss n1>n2 pct=500", "set x 1m partition n1>n2"}) {
    CAPTURE(line);
    CHECK(world.tell(line).starts_with("error: "));
  }
}

TEST_CASE("relay: rules double, damage, reorder and slow down packets of their links only") {
  RelayRules rules(1);
  const Link link{"n1", "n2"};
  const auto now = std::chrono::steady_clock::now();
  rules.set(1, rule(FaultKind::net_duplicate, {{"pct", 100.0}}));
  rules.set(2, rule(FaultKind::net_corrupt, {{"pct", 100.0}}));
  rules.set(3, rule(FaultKind::net_reorder, {{"pct", 100.0}, {"ms", 40.0}}));
  Fate fate = rules.datagram(link, 100, now);
  CHECK(fate.copies == 2);
  CHECK(fate.damaged);
  CHECK(fate.late == Ms(40));
  fate = rules.datagram({"n2", "n1"}, 100, now);
  CHECK(fate.copies == 1);
  CHECK_FALSE(fate.damaged);
  CHECK(fate.late == Ms(0));
  for (std::uint32_t id = 1; id <= 3; ++id) CHECK(rules.unset(id));
  rules.set(4, rule(FaultKind::net_rate, {{"rate", std::uint64_t{1000}}}));
  CHECK(rules.datagram(link, 100, now).late == Ms(100));
  CHECK(rules.datagram(link, 100, now).late == Ms(200));
  for (int i = 0; i < 20; ++i) rules.datagram(link, 100, now);
  CHECK(rules.datagram(link, 100, now).copies == 0);
  std::string bytes(16, 'a');
  rules.damage(bytes.data(), bytes.size());
  CHECK(std::ranges::count(bytes, 'a') == 15);
}

TEST_CASE("relay: loss makes a stream's packets late, and about the share that it says") {
  RelayRules rules(1);
  rules.set(1, rule(FaultKind::net_loss, {{"pct", 30.0}}));
  const auto now = std::chrono::steady_clock::now();
  int lost = 0;
  int late = 0;
  for (int i = 0; i < 1000; ++i) {
    lost += rules.datagram({"n1", "n2"}, 100, now).copies == 0 ? 1 : 0;
    const Fate piece = rules.piece({"n1", "n2"}, 100, now);
    CHECK(piece.copies == 1);
    late += piece.late >= Ms(200) ? 1 : 0;
  }
  for (const int count : {lost, late}) {
    CHECK(count > 240);
    CHECK(count < 360);
  }
}

}  // namespace shoal::chaos
