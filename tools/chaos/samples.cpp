#include "tools/chaos/samples.hpp"

#include <algorithm>
#include <utility>

namespace shoal::chaos {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Ms kLookEvery{500};
constexpr Ms kLookOften{50};
constexpr Ms kSurveyEvery{1000};
constexpr Ms kAnswerLimit{400};

std::unique_ptr<Client> make_client(asio::io_context& context, std::vector<std::string> addresses,
                                    Ms limit) {
  ClientOptions options{.addresses = std::move(addresses)};
  options.connect_timeout = std::min(limit, Ms(300));
  options.timeout = limit;
  return std::make_unique<Client>(context, std::move(options));
}

}  // namespace

Samples::Samples(Crew& crew, Recording& recording, std::vector<NamedAddress> nodes)
    : crew_(crew), recording_(recording), nodes_(std::move(nodes)) {}

void Samples::start() {
  for (const NamedAddress& node : nodes_) crew_.spawn(look(node));
  crew_.spawn(measure());
  crew_.spawn(survey());
}

void Samples::attend(Ms time) {
  attentive_until_ = std::max(attentive_until_, SteadyClock::now() + time);
}

Ms Samples::interval() const {
  return SteadyClock::now() < attentive_until_ ? kLookOften : kLookEvery;
}

asio::awaitable<void> Samples::look(NamedAddress node) {
  std::unique_ptr<Client> client;
  while (!crew_.stopping()) {
    if (!client) client = make_client(crew_.context(), {node.address}, kAnswerLimit);
    const auto view = co_await client->members(false);
    // A client goes on with another member when its own does not answer: that is no answer here.
    const bool own = view && std::ranges::any_of(view->members, [&node](const MemberView& each) {
                       return each.self && each.name == node.name;
                     });
    if (own && view->serving) {
      take_view(node.name, *view);
    } else {
      take_silence(node.name);
    }
    if (!own) client.reset();
    co_await crew_.sleep(interval());
  }
}

void Samples::take_view(const std::string& node, const ClusterView& view) {
  View seen;
  for (const MemberView& member : view.members) {
    seen[member.name] = member.state;
    if (names_.emplace(member.node, member.name).second) {
      recording_.event(
          "member",
          {{"name", member.name}, {"id", to_string(member.node)}, {"address", member.address}});
    }
  }
  std::optional<View>& known = views_[node];
  if (known == seen) return;
  known = seen;
  recording_.event("view", {{"node", node}, {"sees", seen}});
}

void Samples::take_silence(const std::string& node) {
  const auto known = views_.find(node);
  if (known != views_.end() && !known->second) return;
  views_[node] = std::nullopt;
  recording_.event("silent", {{"node", node}});
}

// All nodes' own figures, gathered by whichever answers.
asio::awaitable<void> Samples::measure() {
  std::vector<std::string> addresses;
  for (const NamedAddress& node : nodes_) addresses.push_back(node.address);
  const auto client = make_client(crew_.context(), addresses, Ms(2000));
  while (!crew_.stopping()) {
    const auto view = co_await client->members(true);
    if (view) {
      for (const MemberView& member : view->members) {
        if (!member.figures) {
          loads_.erase(member.name);
          continue;
        }
        loads_[member.name] = member.figures->running + member.figures->ready;
        recording_.metrics(member.name, *member.figures);
      }
    }
    co_await crew_.sleep(kLookEvery);
  }
}

asio::awaitable<void> Samples::survey() {
  std::vector<std::string> addresses;
  for (const NamedAddress& node : nodes_) addresses.push_back(node.address);
  const auto client = make_client(crew_.context(), addresses, Ms(2000));
  while (!crew_.stopping()) {
    const auto ring = co_await client->ring();
    if (ring) take_ring(*ring);
    co_await crew_.sleep(kSurveyEvery);
  }
}

void Samples::take_ring(const RingView& ring) {
  std::vector<NodeId> owners(ring.shard_count);
  for (const ShardView& shard : ring.shards) {
    const auto number = std::to_underlying(shard.shard);
    if (number < owners.size()) owners[number] = shard.owner;
  }
  std::map<std::pair<std::string, std::string>, std::uint32_t> moves;
  for (std::size_t i = 0; i < owners.size() && i < owners_.size(); ++i) {
    // An owner that the gateway does not know is not one that changed.
    if (!owners[i]) owners[i] = owners_[i];
    if (owners[i] != owners_[i]) ++moves[{name_of(owners_[i]), name_of(owners[i])}];
  }
  owners_ = std::move(owners);
  for (const auto& [ends, shards] : moves) {
    recording_.event("owners", {{"from", ends.first}, {"to", ends.second}, {"shards", shards}});
  }
}

bool Samples::agree() const { return disagreement().empty(); }

std::string Samples::disagreement() const {
  std::vector<std::string> all;
  for (const NamedAddress& node : nodes_) {
    const auto view = views_.find(node.name);
    if (view == views_.end() || !view->second) {
      all.push_back(node.name + " does not answer");
      continue;
    }
    for (const NamedAddress& other : nodes_) {
      const auto state = view->second->find(other.name);
      if (state != view->second->end() && state->second == "alive") continue;
      all.push_back(text(node.name, " sees ", other.name, " ",
                         state == view->second->end() ? "not at all" : state->second));
    }
  }
  return joined(all);
}

std::string Samples::name_of(NodeId node) const {
  const auto found = names_.find(node);
  return found == names_.end() ? std::string() : found->second;
}

std::string Samples::busiest() const {
  const auto found =
      std::ranges::max_element(loads_, {}, [](const auto& each) { return each.second; });
  return found == loads_.end() ? std::string() : found->first;
}

std::string Samples::idlest() const {
  const auto found =
      std::ranges::min_element(loads_, {}, [](const auto& each) { return each.second; });
  return found == loads_.end() ? std::string() : found->first;
}

std::vector<std::uint32_t> Samples::shards_owned_by(const std::vector<std::string>& nodes) const {
  std::vector<std::uint32_t> shards;
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    if (std::ranges::find(nodes, name_of(owners_[i])) != nodes.end()) {
      shards.push_back(static_cast<std::uint32_t>(i));
    }
  }
  return shards;
}

}  // namespace shoal::chaos
