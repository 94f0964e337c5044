#include "tools/chaos/canaries.hpp"

#include <algorithm>
#include <utility>

namespace shoal::chaos {
namespace {

constexpr std::size_t kTriesForEachShard = 32;  // None stays without, but once in 10^10 runs.
constexpr std::size_t kShardsMax = 256;         // Of one flight.
constexpr std::size_t kFlightsMax = 4;          // At a time.
constexpr std::size_t kIdsOfShardMax = 16;
constexpr std::size_t kClients = 4;
constexpr Ms kAnswerLimit{400};
constexpr Ms kPause{25};
constexpr Ms kPatience{120'000};

JobId mint(Random& random) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return JobId::mint(now, Retention::week, random.next());
}

Submission canary(JobId id, Nonce nonce) {
  Submission submission{.name = "canary"};
  submission.spec.kind = TaskKind::noop;
  submission.spec.cpu_millis = 0;
  submission.id = id;
  submission.nonce = nonce;
  return submission;
}

}  // namespace

Canaries::Canaries(Crew& crew, Recording& recording, History& history,
                   std::vector<std::string> addresses, std::uint64_t seed)
    : crew_(crew),
      recording_(recording),
      history_(history),
      addresses_(std::move(addresses)),
      random_(seed, "canaries") {}

void Canaries::start() {
  ClientOptions options{.addresses = addresses_};
  asker_ = std::make_unique<Client>(crew_.context(), std::move(options));
  crew_.spawn(gather());
}

void Canaries::close() {
  crew_.stop();
  asker_.reset();
  for (const std::weak_ptr<Flight>& each : flights_) {
    const auto flight = each.lock();
    if (!flight) continue;
    for (std::unique_ptr<Client>& client : flight->clients) client.reset();
  }
}

asio::awaitable<void> Canaries::gather() {
  Result<RingView> ring = fail(ErrorCode::unavailable, "it was not asked");
  while (!ring && !crew_.stopping()) {
    ring = co_await asker_->ring();
    if (!ring) co_await crew_.sleep(kPause);
  }
  if (!ring) co_return;
  ids_.resize(ring->shard_count);
  std::uint32_t known = 0;
  const std::size_t tries = ids_.size() * kTriesForEachShard;
  for (std::size_t i = 0; i < tries; ++i) {
    const Canary made{.id = mint(random_), .nonce = {random_.next(), random_.next()}};
    const ShardId shard = shard_of({.job = made.id, .index = 0}, ring->shard_count);
    std::deque<Canary>& ids = ids_[std::to_underlying(shard)];
    if (ids.empty()) ++known;
    if (ids.size() < kIdsOfShardMax) ids.push_back(made);
  }
  recording_.event("canaries", {{"shards", ids_.size()}, {"known", known}});
}

Canaries::Canary Canaries::take(std::uint32_t shard) {
  std::deque<Canary>& ids = ids_[shard];
  const Canary taken = ids.front();
  ids.pop_front();
  ids.push_back(taken);
  return taken;
}

void Canaries::send(std::uint32_t fault, std::vector<std::uint32_t> shards,
                    const std::vector<std::string>& away) {
  std::erase_if(flights_, [](const std::weak_ptr<Flight>& each) { return each.expired(); });
  std::erase_if(
      shards, [this](std::uint32_t shard) { return shard >= ids_.size() || ids_[shard].empty(); });
  const bool last = fault == 0;
  if (shards.empty() || (flights_.size() >= kFlightsMax && !last)) return;
  if (shards.size() > kShardsMax && !last) {
    random_.shuffle(shards);
    shards.resize(kShardsMax);
  }
  const std::vector<std::string> addresses = put_last(addresses_, away);
  auto flight = std::make_shared<Flight>();
  flight->fault = fault;
  flight->left = flight->sent = static_cast<std::uint32_t>(shards.size());
  in_the_air_ += flight->sent;
  for (std::size_t i = 0; i < kClients; ++i) {
    ClientOptions options{.addresses = addresses};
    options.connect_timeout = kAnswerLimit;
    options.timeout = kAnswerLimit;
    flight->clients.push_back(std::make_unique<Client>(crew_.context(), std::move(options)));
  }
  flights_.push_back(flight);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    crew_.spawn(fly(flight, i % kClients, shards[i]));
  }
}

asio::awaitable<void> Canaries::fly(std::shared_ptr<Flight> flight, std::size_t client,
                                    std::uint32_t shard) {
  const Canary bird = take(shard);
  const Submit op{.what = "canary", .job = bird.id, .tasks = 1};
  const Time begun = recording_.now();
  const Time end = begun + kPatience;
  while (!crew_.stopping() && recording_.now() < end) {
    const auto done = co_await flight->clients[client]->submit(canary(bird.id, bird.nonce));
    if (done) {
      flight->acknowledged.push_back(recording_.now());
      acknowledged_.insert(bird.id);
      history_.submitted(op, {}, begun, OpResult::ok, {});
      break;
    }
    co_await crew_.sleep(kPause);
  }
  --in_the_air_;
  if (--flight->left == 0 && !flight->landed) land(*flight);
}

void Canaries::land_all() {
  for (const std::weak_ptr<Flight>& each : flights_) {
    if (const auto flight = each.lock(); flight && !flight->landed) land(*flight);
  }
}

void Canaries::land(Flight& flight) {
  flight.landed = true;
  std::vector<Time>& times = flight.acknowledged;
  std::ranges::sort(times);
  Json event{{"fault", flight.fault},
             {"shards", flight.sent},
             {"open", flight.sent - static_cast<std::uint32_t>(times.size())}};
  if (!times.empty()) {
    event["last_us"] = times.back().count();
    event["p50_us"] = times[times.size() / 2].count();
  }
  recording_.event("recovered", std::move(event));
}

}  // namespace shoal::chaos
