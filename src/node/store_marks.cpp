#include "node/store_marks.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/format.hpp"

namespace shoal::node {
namespace {

// Seven numbers, with a space between two.
std::optional<std::array<std::uint64_t, 7>> parse(std::string_view text) {
  std::array<std::uint64_t, 7> numbers{};
  for (std::uint64_t& number : numbers) {
    if (&number != numbers.data()) {
      if (!text.starts_with(' ')) return std::nullopt;
      text.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  if (!text.empty()) return std::nullopt;
  return numbers;
}

std::string text_of(const wire::StoreMark& mark) {
  return format("{} {} {}", mark.boot_epoch, mark.boot_nonce, mark.sequence);
}

}  // namespace

bool StoreMarks::restore(std::string_view name, std::string_view value) {
  if (!name.starts_with(kMetaMark)) return true;
  const auto node = parse_node_id(name.substr(kMetaMark.size()));
  const auto numbers = parse(value);
  if (!node || !numbers) return false;
  Memory& memory = marks_[*node];
  memory.newest = {(*numbers)[0], (*numbers)[1], (*numbers)[2]};
  memory.settled = {(*numbers)[3], (*numbers)[4], (*numbers)[5]};
  memory.sequence = (*numbers)[6];
  return true;
}

StoreMarks::Memory* StoreMarks::make(NodeId node) {
  const auto found = marks_.find(node);
  if (found != marks_.end()) return &found->second;
  return marks_.size() < kMarksMax ? &marks_[node] : nullptr;
}

void StoreMarks::touch(Now now, NodeId node) {
  if (changed_.empty()) next_write_ = std::max(next_write_, now.steady);
  changed_.insert(node);
}

void StoreMarks::settle(Memory& memory, bool settled) {
  if (!settled && memory.settled.boot_nonce != memory.newest.boot_nonce) return;
  memory.settled = memory.newest;
  memory.settled_at = memory.newest_at;
}

void StoreMarks::on_query(Now now, NodeId node, const wire::StoreQuery& query,
                          const Address& from) {
  on_start(now, node, query.mark.boot_epoch, query.mark.boot_nonce);
  Memory* memory = make(node);
  if (memory == nullptr || memory->newest.boot_nonce != query.mark.boot_nonce) return;
  if (from) memory->newest_at = from;
  const Memory before = *memory;
  memory->newest.sequence = std::max(memory->newest.sequence, query.mark.sequence);
  settle(*memory, query.settled);
  if (memory->newest != before.newest || memory->settled != before.settled) touch(now, node);
  on_sequence(now, node, query.mark.sequence);
}

void StoreMarks::on_start(Now now, NodeId node, std::uint64_t boot_epoch,
                          std::uint64_t boot_nonce) {
  Memory* memory = make(node);
  if (memory == nullptr || boot_epoch < memory->newest.boot_epoch) return;
  if (boot_epoch == memory->newest.boot_epoch) {
    if (memory->newest.boot_nonce == 0) memory->newest.boot_nonce = boot_nonce;
    return;
  }
  if (memory->settled.boot_epoch == 0) {
    memory->settled = memory->newest;
    memory->settled_at = memory->newest_at;
  }
  memory->newest = {.boot_epoch = boot_epoch, .boot_nonce = boot_nonce, .sequence = 0};
  memory->newest_at = {};
  touch(now, node);
}

void StoreMarks::on_sequence(Now now, NodeId node, std::uint64_t sequence) {
  Memory* memory = sequence == 0 ? nullptr : make(node);
  if (memory == nullptr || sequence <= memory->sequence) return;
  memory->sequence = sequence;
  touch(now, node);
}

void StoreMarks::forget(NodeId node) {
  if (marks_.erase(node) > 0) changed_.insert(node);
}

wire::StoreAnswer StoreMarks::of(NodeId node) const {
  const auto found = marks_.find(node);
  if (found == marks_.end()) return {.node = node};
  const Memory& memory = found->second;
  return {.newest = memory.newest,
          .settled = memory.settled,
          .sequence = memory.sequence,
          .node = node};
}

Address StoreMarks::address_of(NodeId node, std::uint64_t boot_nonce) const {
  const auto found = marks_.find(node);
  if (found == marks_.end() || boot_nonce == 0) return {};
  const Memory& memory = found->second;
  if (memory.newest.boot_nonce == boot_nonce && memory.newest_at) return memory.newest_at;
  return memory.settled.boot_nonce == boot_nonce ? memory.settled_at : Address{};
}

std::vector<NodeId> StoreMarks::nodes() const {
  std::vector<NodeId> nodes;
  for (const auto& [node, mark] : marks_) nodes.push_back(node);
  return nodes;
}

std::vector<wire::Write> StoreMarks::take_writes(Now now) {
  std::vector<wire::Write> writes;
  if (changed_.empty() || now.steady < next_write_) return writes;
  for (const NodeId node : changed_) {
    std::string value;  // Empty: forgotten.
    if (const auto found = marks_.find(node); found != marks_.end()) {
      const Memory& memory = found->second;
      value = format("{} {} {}", text_of(memory.newest), text_of(memory.settled), memory.sequence);
    }
    writes.emplace_back(wire::PutMeta{std::string(kMetaMark) + to_string(node), std::move(value)});
  }
  changed_.clear();
  next_write_ = now.steady + kMarksInterval;
  return writes;
}

}  // namespace shoal::node
