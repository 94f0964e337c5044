#include "node/operations.hpp"

#include <iterator>
#include <string>
#include <utility>
#include <variant>

#include "base/probes.hpp"
#include "task/record.hpp"

namespace shoal::node {
namespace {

std::size_t bytes_of(const wire::OwnerReplyBody& body) {
  constexpr std::size_t kFixed = 512;
  std::size_t bytes = kFixed;
  if (const auto* job = std::get_if<wire::JobReply>(&body)) {
    bytes += task::spec_bytes(job->status.spec) + job->status.name.size();
    if (job->single) {
      bytes += job->single->argument.size();
      if (job->single->result) bytes += job->single->result->message.size();
    }
  } else if (const auto* tasks = std::get_if<wire::TasksReply>(&body)) {
    for (const TaskStatus& task : tasks->tasks) {
      bytes += kFixed + task.argument.size() + (task.result ? task.result->message.size() : 0);
    }
  } else if (const auto* tail = std::get_if<wire::TailReply>(&body)) {
    bytes += tail->bytes.size();
  }
  return bytes;
}

}  // namespace

std::uint64_t Operations::open(NodeId gateway, std::uint64_t request, ShardId shard) {
  open_.emplace(++last_, Operation{.gateway = gateway, .request = request, .shard = shard});
  return last_;
}

void Operations::seal(std::uint64_t operation) { on_commit(operation); }

void Operations::on_commit(std::uint64_t operation) {
  const auto found = open_.find(operation);
  if (found == open_.end() || --found->second.waiting > 0) return;
  const Operation done = found->second;
  open_.erase(found);
  answer(done.gateway, done.request, wire::Done{copies(done.shard)});
}

void Operations::fail(std::uint64_t operation, ErrorCode code, std::string message) {
  const auto found = open_.find(operation);
  if (found == open_.end()) return;
  refuse(found->second.gateway, found->second.request, code, std::move(message));
  open_.erase(found);
}

void Operations::drop_shard(ShardId shard) {
  for (auto entry = open_.begin(); entry != open_.end();) {
    if (entry->second.shard != shard) {
      ++entry;
      continue;
    }
    refuse(entry->second.gateway, entry->second.request, ErrorCode::unavailable,
           "the owner changed before this was certain; asking again with the same id is safe");
    entry = open_.erase(entry);
  }
}

void Operations::answer(NodeId gateway, std::uint64_t request, wire::OwnerReplyBody body) {
  answers_[gateway].push_back({request, std::move(body)});
}

void Operations::refuse(NodeId gateway, std::uint64_t request, ErrorCode code,
                        std::string message) {
  answer(gateway, request, Error{code, std::move(message)});
}

std::uint32_t Operations::copies(ShardId shard) const {
  const wire::ShardConfig* config = context_.shards->config(shard);
  return config == nullptr ? 0 : static_cast<std::uint32_t>(config->home.size() / 2 + 1);
}

void Operations::flush() {
  for (auto& [gateway, items] : answers_) {
    if (gateway != context_.self() && probes::fails(probes::Site::owner_answer_lost)) continue;
    wire::OwnerReplies message;
    std::size_t bytes = 0;
    for (wire::OwnerReply& item : items) {
      const std::size_t size = bytes_of(item.body);
      if (bytes + size > kListBytesMax && !message.items.empty()) {
        context_.send(gateway, std::exchange(message, {}));
        bytes = 0;
      }
      bytes += size;
      message.items.push_back(std::move(item));
    }
    context_.send(gateway, std::move(message));
  }
  answers_.clear();
}

}  // namespace shoal::node
