#include "node/job_owner.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "base/format.hpp"
#include "base/log.hpp"
#include "base/probes.hpp"
#include "wire/persist.hpp"

namespace shoal::node {
namespace {

// A mint time further ahead than this is a wrong clock, not a new job.
constexpr std::chrono::minutes kSkewMax{5};

// E3: by this owner's clock; the records may still be there.
bool past_retention(JobId job, Now now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now.wall.time_since_epoch()).count();
  return second >= 0 && task::expiry_of(job) <= static_cast<std::uint64_t>(second);
}

constexpr const char* kDamaged =
    "too many copies of this record are damaged; it waits for other homes to answer";

}  // namespace

void JobOwner::on_requests(Now now, NodeId gateway, wire::OwnerRequests requests) {
  for (wire::OwnerRequest& item : requests.items) {
    const Request request{gateway, item.id, item.shard};
    if (!context_.serves(item.shard)) {
      operations_.answer(gateway, item.id, wire::WrongOwner{context_.entry(item.shard)});
      continue;
    }
    std::visit([&](auto& body) { handle(now, request, body); }, item.body);
  }
  for (const std::uint64_t operation : store_.take_blocked()) {
    operations_.fail(
        operation, ErrorCode::unavailable,
        "too many copies of this record are damaged; it waits for other homes to answer");
  }
  ask_confirmation(now);
}

// O4: what decides something is answered after a Confirm round begun after the question; one round
// serves all questions of a message.
void JobOwner::ask_confirmation(Now now) {
  if (questions_.empty()) return;
  std::set<ShardId> shards;
  for (const Question& question : questions_) shards.insert(question.request.shard);
  const std::uint64_t ticket =
      context_.shards->confirm(now.steady, std::vector<ShardId>(shards.begin(), shards.end()));
  asked_[ticket] = std::exchange(questions_, {});
}

void JobOwner::on_confirmed(const shard::ConfirmDone& done) {
  const auto found = asked_.find(done.ticket);
  if (found == asked_.end()) return;
  const std::set<ShardId> confirmed(done.confirmed.begin(), done.confirmed.end());
  for (const Question& question : found->second) {
    if (confirmed.contains(question.request.shard) && context_.serves(question.request.shard)) {
      std::visit([&](const auto& body) { answer(question.request, body, true); }, question.body);
    } else {
      operations_.refuse(question.request.gateway, question.request.id, ErrorCode::unavailable,
                         "the owner could not confirm that it still is; ask again");
    }
  }
  asked_.erase(found);
}

void JobOwner::not_found(const Request& request, JobId job) {
  // E3: "gone" only when a quorum has the floor.
  if (task::expiry_of(job) <= context_.shards->floor(request.shard) &&
      context_.shards->floor_settled(request.shard)) {
    operations_.refuse(request.gateway, request.id, ErrorCode::expired,
                       format("job {} is past its retention and gone; `--keep` sets how long jobs "
                              "are kept",
                              to_string(job)));
    return;
  }
  operations_.refuse(request.gateway, request.id, ErrorCode::not_found,
                     format("no job {} so far; check the id with `shoal ps`", to_string(job)));
}

// O4: an owner that was deposed and does not know it may be older than the job.
void JobOwner::answer(const Request& request, const Absent& absent, bool confirmed) {
  if (!confirmed) {
    questions_.push_back({request, absent});
    return;
  }
  const bool came = absent.index
                        ? store_.proposed(request.shard, {absent.job, *absent.index}).has_value()
                        : store_.proposed_job(request.shard, absent.job).has_value();
  const wire::RecordKey key =
      absent.index ? element_key({absent.job, *absent.index}) : job_key(absent.job);
  if (!came && damaged(request, key)) return;
  if (!came) return not_found(request, absent.job);
  operations_.refuse(request.gateway, request.id, ErrorCode::unavailable,
                     "the job came into being this moment; ask again");
}

// C5: too many copies of the record are bad for anything to be said or written about it.
bool JobOwner::damaged(const Request& request, const wire::RecordKey& key) {
  const bool blocked =
      context_.shards->proposed(request.shard, key) == nullptr &&
      context_.shards->committed(request.shard, key).state == shard::Committed::unsettled;
  if (blocked) operations_.refuse(request.gateway, request.id, ErrorCode::unavailable, kDamaged);
  return blocked;
}

bool JobOwner::may_create(const Request& request, JobId job, Now now, const TaskSpec& spec) {
  const auto refuse = [&](ErrorCode code, std::string message) {
    operations_.refuse(request.gateway, request.id, code, std::move(message));
    return false;
  };
  if (context_.stopping) {
    return refuse(ErrorCode::unavailable, "this node is stopping; ask again in a moment");
  }
  if (job.minted() > now.wall + kSkewMax) {
    return refuse(
        ErrorCode::bad_input,
        "the job's id was minted more than 5 minutes ahead of this node's time; check the "
        "clock of the submitting machine");
  }
  if (past_retention(job, now)) {
    return refuse(ErrorCode::expired,
                  "the job's id is past its retention; submit it anew, and check the clock of the "
                  "submitting machine");
  }
  if (context_.disk_low) {
    return refuse(ErrorCode::overload,
                  format("the disk of node {}, which owns this task's shard, is nearly full, so it "
                         "takes no new tasks; free space there, then submit again",
                         context_.config.name));
  }
  if (context_.records >= context_.config.records_max) {
    return refuse(
        ErrorCode::overload,
        format("this node holds {} records, its limit; wait until jobs expire or add nodes",
               context_.config.records_max));
  }
  if (const auto wrong = task::validate(spec)) return refuse(ErrorCode::bad_input, *wrong);
  return true;
}

task::TaskRecord JobOwner::new_task(Now now, ShardId, TaskId id, const ShardJob& job,
                                    std::string argument) {
  task::TaskRecord task{.argument = std::move(argument)};
  if (job.cancelled) {
    task.state = TaskState::cancelled;
  } else if (claims_.claim_at_creation(now, id, job.spec)) {
    return claims_.bound(std::move(task), job.spec, context_.self(), 0);
  }
  return task;
}

void JobOwner::handle(Now now, const Request& request, const wire::CreateJob& create) {
  if (const auto known = store_.proposed_job(request.shard, create.job)) {
    if (known->nonce != create.nonce) {
      operations_.refuse(request.gateway, request.id, ErrorCode::conflict,
                         "id taken: another submission has this job id; mint a new one");
      return;
    }
    // The same submission again: answer when what is here is certain.
    const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
    if (store_.committed_job(request.shard, create.job).presence != TaskStore::Presence::present) {
      operations_.add(operation);
      store_.put_job(now, request.shard, create.job, *known,
                     {.change = Change::job, .operation = operation});
    }
    operations_.seal(operation);
    return;
  }
  if (!may_create(request, create.job, now, create.spec)) return;
  if (damaged(request, job_key(create.job))) return;
  if (create.count == 0 || create.count > kJobTasksMax || (create.single && create.count != 1)) {
    operations_.refuse(
        request.gateway, request.id, ErrorCode::bad_input,
        format("a job has 1 to {} tasks, not {}; split it", kJobTasksMax, create.count));
    return;
  }
  task::JobRecord job{.nonce = create.nonce,
                      .name = create.name,
                      .state = create.single ? JobState::closed : JobState::open,
                      .count = create.count,
                      .created = now.wall,
                      .spec = create.spec};
  context_.note_expiry(request.shard, task::expiry_of(create.job));
  const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
  operations_.add(operation);
  ShardJob& cached = store_.make_job(request.shard, create.job);
  cached.nonce = create.nonce;
  cached.spec = create.spec;
  cached.has_spec = true;
  cached.single = create.single;
  Token token{.change = Change::job, .operation = operation};
  if (create.single) {
    job.single = new_task(now, request.shard, {create.job, 0}, cached, create.argument);
    token = {.change = Change::create, .to = job.single->state, .operation = operation};
    ++cached.creating;
  }
  store_.put_job(now, request.shard, create.job, job, token);
  operations_.seal(operation);
}

void JobOwner::handle(Now now, const Request& request, wire::CreateTasks& create) {
  ShardJob* job = store_.job(request.shard, create.job);
  if (job != nullptr && job->nonce != Nonce{} && job->nonce != create.nonce) {
    operations_.refuse(request.gateway, request.id, ErrorCode::conflict,
                       "id taken: another submission has this job id; mint a new one");
    return;
  }
  if (job == nullptr && task::shard_of(create.job, context_.shard_count) == request.shard) {
    return answer(request, Absent{create.job, {}}, false);
  }
  if (!may_create(request, create.job, now, create.spec)) return;
  context_.note_expiry(request.shard, task::expiry_of(create.job));
  const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
  const bool described = job != nullptr && job->has_spec;
  if (!described) {
    const bool cancelled = job != nullptr && job->cancelled;
    job = &store_.make_job(request.shard, create.job);
    job->nonce = create.nonce;
    job->spec = create.spec;
    job->has_spec = true;
    job->cancelled = cancelled;
    ++job->creating;
    operations_.add(operation);
    store_.put_spec(now, request.shard, create.job, {create.nonce, cancelled, create.spec},
                    {.change = Change::job, .operation = operation});
  }
  // B2: elements are certain only when what describes them is.
  if (described) await_description(now, request.shard, create.job, *job, operation);
  bool blocked = false;
  for (wire::NewElement& element : create.elements) {
    const TaskId id{create.job, element.index};
    if (element.argument.size() > kArgumentBytesMax || element.index >= kJobTasksMax ||
        task::shard_of(id, context_.shard_count) != request.shard) {
      continue;  // A well-behaved gateway never sends these.
    }
    auto held = store_.proposed(request.shard, id);
    if (!held && context_.shards->committed(request.shard, element_key(id)).state ==
                     shard::Committed::unsettled) {
      blocked = true;
      break;
    }
    if (!held) {
      held = TaskStore::Held{new_task(now, request.shard, id, *job, std::move(element.argument)),
                             false};
      ++job->creating;
      operations_.add(operation);
      store_.put(now, request.shard, id, *held,
                 {.change = Change::create, .to = held->task.state, .operation = operation});
    } else if (store_.committed(request.shard, id).presence != TaskStore::Presence::present) {
      operations_.add(operation);
      store_.put(now, request.shard, id, *held, {.change = Change::job, .operation = operation});
    }
  }
  if (blocked) return operations_.fail(operation, ErrorCode::unavailable, kDamaged);
  operations_.seal(operation);
}

void JobOwner::await_description(Now now, ShardId shard, JobId id, ShardJob& job,
                                 std::uint64_t operation) {
  const bool in_job = store_.proposed_job(shard, id).has_value();
  const wire::RecordKey key = in_job ? job_key(id) : spec_key(id);
  if (context_.shards->committed(shard, key).state == shard::Committed::present) return;
  if (!in_job) ++job.creating;
  operations_.add(operation);
  store_.again(now, shard, key, {.change = Change::job, .operation = operation});
}

// E3: what is past its retention by this owner's clock may still be read, and not be changed.
bool JobOwner::expiring(const Request& request, JobId job, Now now) {
  if (!past_retention(job, now)) return false;
  probes::mark(probes::Mark::expiring_refused);
  operations_.refuse(request.gateway, request.id, ErrorCode::expired,
                     format("job {} is past its retention and about to go; nothing of it can be "
                            "changed any more",
                            to_string(job)));
  return true;
}

void JobOwner::handle(Now now, const Request& request, const wire::CloseJob& close) {
  auto job = store_.proposed_job(request.shard, close.job);
  if (!job) return answer(request, Absent{close.job, {}}, false);
  if (expiring(request, close.job, now)) return;
  if (job->nonce != close.nonce) {
    operations_.refuse(request.gateway, request.id, ErrorCode::conflict,
                       "id taken: another submission has this job id; mint a new one");
    return;
  }
  const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
  const auto shown = store_.committed_job(request.shard, close.job);
  const bool certain =
      shown.presence == TaskStore::Presence::present && shown.job.state != JobState::open;
  if (!certain) {
    if (job->state == JobState::open) job->state = JobState::closed;
    operations_.add(operation);
    store_.put_job(now, request.shard, close.job, *job,
                   {.change = Change::job, .operation = operation});
  }
  operations_.seal(operation);
}

void JobOwner::handle(Now now, const Request& request, const wire::CancelJob& cancel) {
  auto job = store_.proposed_job(request.shard, cancel.job);
  if (!job) return answer(request, Absent{cancel.job, {}}, false);
  if (expiring(request, cancel.job, now)) return;
  if (job->state == JobState::finished &&
      store_.committed_job(request.shard, cancel.job).job.state == JobState::finished) {
    operations_.refuse(request.gateway, request.id, ErrorCode::conflict,
                       format("job {} has finished already", to_string(cancel.job)));
    return;
  }
  const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
  if (job->single) {
    cancel_here(now, request.shard, cancel.job, 0, operation);
  } else {
    job->cancelled = true;
    if (job->state == JobState::open) job->state = JobState::closed;
    operations_.add(operation);
    store_.put_job(now, request.shard, cancel.job, *job,
                   {.change = Change::job, .operation = operation});
  }
  operations_.seal(operation);
}

void JobOwner::handle(Now now, const Request& request, const wire::CancelTasks& cancel) {
  if (cancel.index && !store_.proposed(request.shard, {cancel.job, *cancel.index})) {
    return answer(request, Absent{cancel.job, cancel.index}, false);
  }
  if (expiring(request, cancel.job, now)) return;
  const std::uint64_t operation = operations_.open(request.gateway, request.id, request.shard);
  cancel_here(now, request.shard, cancel.job, cancel.index, operation);
  operations_.seal(operation);
}

void JobOwner::cancel_here(Now now, ShardId shard, JobId id, std::optional<std::uint32_t> index,
                           std::uint64_t operation) {
  const auto cancel_one = [&](TaskId task_id) {
    auto held = store_.proposed(shard, task_id);
    if (!held) return;
    if (terminal(held->task.state)) {
      const auto shown = store_.committed(shard, task_id);
      const bool certain =
          shown.presence == TaskStore::Presence::present && terminal(shown.task.state);
      if (operation == 0 || certain) return;
      operations_.add(operation);
      store_.put(now, shard, task_id, *held, {.change = Change::job, .operation = operation});
      return;
    }
    const Token token{.change = Change::cancel,
                      .from = held->task.state,
                      .to = TaskState::cancelled,
                      .operation = operation};
    held->task.state = TaskState::cancelled;
    if (operation != 0) operations_.add(operation);
    store_.put(now, shard, task_id, *held, token);
  };
  if (index) return cancel_one({id, *index});

  ShardJob* job = store_.job(shard, id);
  const bool job_record_here = store_.proposed_job(shard, id).has_value();
  const bool known = job != nullptr && job->cancelled;
  if (job == nullptr) job = &store_.make_job(shard, id);
  job->cancelled = true;
  if (!known && !job_record_here) {
    ++job->creating;
    const auto spec = store_.proposed_spec(shard, id);
    task::SpecRecord record = spec.value_or(task::SpecRecord{});
    record.cancelled = true;
    if (operation != 0) operations_.add(operation);
    store_.put_spec(now, shard, id, record, {.change = Change::job, .operation = operation});
  }
  std::vector<std::uint32_t> indices;
  context_.shards->for_each_record(shard, element_key({id, 0}), element_key({id, ~0U}),
                                   [&](const wire::RecordKey& key, const std::string&, bool) {
                                     indices.push_back(record_name(key).index);
                                   });
  for (const std::uint32_t element : indices) cancel_one({id, element});
}

void JobOwner::handle(Now, const Request& request, const wire::GetJob& get) {
  answer(request, get, false);
}

void JobOwner::answer(const Request& request, const wire::GetJob& get, bool confirmed) {
  const auto shown = store_.committed_job(request.shard, get.job);
  const bool over =
      shown.presence == TaskStore::Presence::present && shown.job.state == JobState::finished;
  if (!confirmed && !over && !get.local) {
    questions_.push_back({request, get});
    return;
  }
  if (shown.presence == TaskStore::Presence::absent) return not_found(request, get.job);
  if (shown.presence == TaskStore::Presence::unsettled) {
    operations_.refuse(request.gateway, request.id, ErrorCode::unavailable,
                       "this job's state is being settled; ask again");
    return;
  }
  wire::JobReply reply{.status = tracker_.status(request.shard, get.job, shown.job),
                       .owner = context_.self()};
  if (const wire::ShardConfig* config = context_.shards->config(request.shard)) {
    reply.home = config->home;
  }
  if (shown.job.single) reply.single = Watches::status_of(0, *shown.job.single);
  operations_.answer(request.gateway, request.id, std::move(reply));
}

void JobOwner::handle(Now, const Request& request, const wire::GetTasks& get) {
  answer(request, get, false);
}

void JobOwner::answer(const Request& request, const wire::GetTasks& get, bool confirmed) {
  if (!confirmed && !get.local) {
    questions_.push_back({request, get});
    return;
  }
  constexpr std::uint32_t kLimitMax = 4096;
  constexpr std::size_t kStatusBytes = 256;
  std::size_t bytes = 0;
  bool unsettled = false;  // O3: not to be shown, and not absent either.
  const std::uint32_t limit = std::min(std::max(get.limit, 1U), kLimitMax);
  const std::uint32_t last = get.from + std::min(limit - 1, ~0U - get.from);
  wire::TasksReply reply;
  context_.shards->for_each_record(
      request.shard, element_key({get.job, get.from}), element_key({get.job, last}),
      [&](const wire::RecordKey& key, const std::string&, bool) {
        if (reply.more) return;
        const std::uint32_t index = record_name(key).index;
        const auto shown = store_.committed(request.shard, {get.job, index});
        unsettled = unsettled || shown.presence == TaskStore::Presence::unsettled;
        if (shown.presence != TaskStore::Presence::present) return;
        if (bytes >= kListBytesMax) {
          reply.more = true;
          return;
        }
        if ((get.states >> static_cast<unsigned>(shown.task.state) & 1) == 0) return;
        bytes += kStatusBytes + shown.task.argument.size() +
                 (shown.task.result ? shown.task.result->message.size() : 0);
        reply.tasks.push_back(Watches::status_of(index, shown.task));
      });
  if (unsettled) {
    operations_.refuse(request.gateway, request.id, ErrorCode::unavailable,
                       "some of these tasks are being settled; ask again");
    return;
  }
  operations_.answer(request.gateway, request.id, std::move(reply));
}

void JobOwner::handle(Now now, const Request& request, const wire::WatchShard& watch) {
  watches_.subscribe(now, request.gateway, request.shard, watch);
  operations_.answer(request.gateway, request.id, wire::Done{});
}

void JobOwner::handle(Now, const Request& request, const wire::GetTail& get) {
  watches_.read_tail(request.gateway, request.id, request.shard, get);
}

void JobOwner::on_committed(Now now, ShardId shard, const wire::RecordKey& key,
                            const Token& token) {
  ++context_.counters.commits;
  claims_.on_commit(shard);
  const task::RecordName name = record_name(key);
  if (name.kind == task::RecordKind::job) store_.index_job(shard, name.job);
  if (token.change == Change::job) {
    operations_.on_commit(token.operation);
    if (name.kind == task::RecordKind::spec) {
      ShardJob* job = store_.cached_job(shard, name.job);
      if (job != nullptr && job->creating > 0) --job->creating;
    }
    if (name.kind != task::RecordKind::job) return;
    const auto shown = store_.committed_job(shard, name.job);
    if (shown.presence != TaskStore::Presence::present) return;
    tracker_.track(now, shard, name.job, shown.job);
    watches_.on_job(shard, name.job, tracker_.status(shard, name.job, shown.job));
    return;
  }
  const TaskId id{name.job, name.kind == task::RecordKind::element ? name.index : 0};
  if (token.change == Change::lease) return claims_.on_grown(now, shard, id, token.operation);
  store_.count(shard, id.job, token);
  const auto held = store_.proposed(shard, id);
  if (!held) return;
  switch (token.change) {
    case Change::create:
      operations_.on_commit(token.operation);
      if (held->task.state == TaskState::ready) claims_.on_ready(now, shard, id, held->task);
      if (token.to == TaskState::claimed) claims_.on_claimed(now, shard, id, held->task, 0);
      break;
    case Change::recover:
      claims_.on_recovered(now, shard, id, held->task);
      break;
    case Change::claim:
      claims_.on_claimed(now, shard, id, held->task, token.operation);
      break;
    case Change::outcome:
      claims_.on_recorded(id, held->task);
      [[fallthrough]];
    case Change::release:
      claims_.on_ended(id);
      if (held->task.state == TaskState::ready) claims_.on_ready(now, shard, id, held->task);
      break;
    case Change::cancel:
      if (token.from == TaskState::claimed) claims_.end_attempt(shard, id, held->task);
      claims_.on_ended(id);
      operations_.on_commit(token.operation);
      break;
    case Change::none:
    case Change::job:
    case Change::lease:
      break;
  }
  watches_.on_task(shard, id);
  if (held->single && terminal(held->task.state)) {
    const auto shown = store_.committed_job(shard, id.job);
    if (shown.presence == TaskStore::Presence::present) {
      watches_.on_job(shard, id.job, tracker_.status(shard, id.job, shown.job));
    }
  }
}

}  // namespace shoal::node
