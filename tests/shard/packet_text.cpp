#include "packet_text.hpp"

#include "base/format.hpp"

namespace shoal::shard::test {
namespace {

std::string text_of(NodeId node) { return node ? format("n{}", node_index(node)) : "-"; }
std::string text_of(const wire::Ballot& ballot) {
  return format("{}{}", ballot.round, text_of(ballot.node));
}

std::string text_of(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += text_of(node);
  return text;
}

std::string text_of(const wire::ConfigId& id) {
  return format("({},{})", text_of(id.ballot), id.seq);
}

std::string text_of(const wire::RecordKey& key) {
  for (std::size_t i = 0; i < kKeys; ++i) {
    if (key_of(i) == key) return format("r{}", i);
  }
  return "r?";
}

std::string text_of(const wire::RecordVersion& version) {
  return format("({},v{})", text_of(version.ballot), version.version);
}

std::string text_of(const wire::Record& record) {
  return format(" {}{}={}", text_of(record.key), text_of(record.version), record.value);
}

struct Text {
  std::string operator()(const wire::Prepare& m) const {
    std::string text = "prepare";
    for (const auto& i : m.items) text += format(" {} {}", text_of(i.ballot), text_of(i.config.id));
    return text;
  }
  std::string operator()(const wire::Promise& m) const {
    std::string text = "promise";
    for (const auto& i : m.items) {
      text += format(" {} {} floor {}:", text_of(i.ballot), text_of(i.config.id), i.floor);
      for (const auto& e : i.digest) {
        text += format(" {}{}{}", text_of(e.key), text_of(e.version), e.bad ? "bad" : "");
      }
    }
    return text;
  }
  std::string operator()(const wire::Refuse& m) const {
    std::string text = "refuse";
    for (const auto& i : m.items) {
      text += format(" {} for {} {}", text_of(i.asked), text_of(i.promised), text_of(i.config.id));
    }
    return text;
  }
  std::string operator()(const wire::Fetch& m) const {
    std::string text = "fetch";
    for (const auto& i : m.items) {
      for (const auto& key : i.keys) text += " " + text_of(key);
    }
    return text;
  }
  std::string operator()(const wire::Fetched& m) const {
    std::string text = "fetched";
    for (const auto& i : m.items) {
      for (const auto& record : i.records) text += text_of(record);
    }
    return text;
  }
  std::string operator()(const wire::WriteRecords& m) const {
    std::string text = "write";
    for (const auto& i : m.items) {
      text += format(" {} #{} {} floor {}{}:", text_of(i.ballot), i.number,
                     i.config ? test::text_of(*i.config) : text_of(i.config_id), i.floor, "");
      for (const auto& record : i.records) text += text_of(record);
    }
    return text;
  }
  std::string operator()(const wire::Ack& m) const {
    std::string text = "ack";
    for (const auto& i : m.items) {
      text += format(" {} #{} {} floor {}{}", text_of(i.ballot), i.number, text_of(i.config_id),
                     i.floor, i.config ? " nothing" : "");
      for (const auto& e : i.exceptions) {
        text += format(" {}{}{}", text_of(e.key), text_of(e.version), e.gone ? "gone" : "");
      }
    }
    return text;
  }
  std::string operator()(const wire::Confirm& m) const { return format("confirm {}", m.round); }
  std::string operator()(const wire::Confirmed& m) const { return format("confirmed {}", m.round); }
  std::string operator()(const wire::Retire& m) const {
    std::string text = "retire";
    for (const auto& i : m.items) text += " " + text_of(i.config);
    return text;
  }
};

}  // namespace

std::string text_of(const wire::ShardConfig& config) {
  return format("{} home {} next {} learners {}", text_of(config.id), text_of(config.home),
                text_of(config.next), text_of(config.learners));
}

std::string text_of(const Packet& packet) {
  return format("n{} -> n{}  {}", packet.from, packet.to, std::visit(Text{}, packet.message));
}

}  // namespace shoal::shard::test
