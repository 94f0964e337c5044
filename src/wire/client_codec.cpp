#include "wire/codec_types.hpp"

namespace shoal::wire {

void put(schema::ListJobs::Builder out, const ListJobs& list) {
  out.setLimit(list.limit);
  out.setStates(list.states);
  out.setPrefixBits(list.prefix_bits);
  out.setPrefixMask(list.prefix_mask);
  out.setName(blob(list.name));
}

ListJobs get(schema::ListJobs::Reader in, Reading& reading) {
  return {
      .limit = in.getLimit(),
      .states = in.getStates(),
      .prefix_bits = in.getPrefixBits(),
      .prefix_mask = in.getPrefixMask(),
      .name = reading.string(in.getName(), kNameBytesMax),
  };
}

void put(schema::JobList::Builder out, const JobList& list) {
  if (!list.jobs.empty()) put_list(out.initJobs(count(list.jobs)), list.jobs);
  if (!list.missing.empty()) put_strings(out.initMissing(count(list.missing)), list.missing);
}

JobList get(schema::JobList::Reader in, Reading& reading) {
  return {
      .jobs = get_list<JobStatus>(in.getJobs(), reading),
      .missing = get_strings(in.getMissing(), reading, kNameBytesMax),
  };
}

void put(schema::WatchJob::Builder out, const WatchJob& watch) {
  out.setJob(watch.job.value);
  out.setTasks(watch.tasks);
  out.setWithOutput(watch.with_output);
}

WatchJob get(schema::WatchJob::Reader in, Reading&) {
  return {
      .job = JobId{in.getJob()},
      .tasks = in.getTasks(),
      .with_output = in.getWithOutput(),
  };
}

void put(schema::WatchEvent::Builder out, const WatchEvent& event) {
  if (!event.tasks.empty()) put_list(out.initTasks(count(event.tasks)), event.tasks);
  if (event.job) put(out.initJob(), *event.job);
}

WatchEvent get(schema::WatchEvent::Reader in, Reading& reading) {
  WatchEvent event{.tasks = get_list<TaskEvent>(in.getTasks(), reading)};
  if (in.hasJob()) event.job = get(in.getJob(), reading);
  return event;
}

void put(schema::ShowTasks::Builder out, const ShowTasks& show) {
  out.setJob(show.job.value);
  out.setFrom(show.from);
  out.setLimit(show.limit);
  out.setStates(show.states);
  out.setLocal(show.local);
}

ShowTasks get(schema::ShowTasks::Reader in, Reading&) {
  return {
      .job = JobId{in.getJob()},
      .from = in.getFrom(),
      .limit = in.getLimit(),
      .states = in.getStates(),
      .local = in.getLocal(),
  };
}

void put(schema::CancelRequest::Builder out, const CancelRequest& cancel) {
  out.setJob(cancel.job.value);
  out.setOneOnly(cancel.index.has_value());
  out.setIndex(cancel.index.value_or(0));
}

CancelRequest get(schema::CancelRequest::Reader in, Reading&) {
  CancelRequest cancel{.job = JobId{in.getJob()}};
  if (in.getOneOnly()) cancel.index = in.getIndex();
  return cancel;
}

void put(schema::ReadLog::Builder out, const ReadLog& read) {
  out.setJob(read.task.job.value);
  out.setIndex(read.task.index);
  out.setAttempt(read.attempt);
  out.setStream(static_cast<std::uint8_t>(read.stream));
  out.setOffset(read.offset);
  out.setFollow(read.follow);
}

ReadLog get(schema::ReadLog::Reader in, Reading& reading) {
  return {
      .task = {JobId{in.getJob()}, in.getIndex()},
      .attempt = in.getAttempt(),
      .stream = reading.enumerated(in.getStream(), task::Stream::err),
      .offset = in.getOffset(),
      .follow = in.getFollow(),
  };
}

void put(schema::LogData::Builder out, const LogData& log) {
  put_attempt(out.getAttempt(), log.attempt);
  put_id(out.getNode(), log.node);
  out.setOffset(log.offset);
  out.setBytes(blob(log.bytes));
  out.setNote(text(log.note));
  out.setComplete(log.complete);
}

LogData get(schema::LogData::Reader in, Reading& reading) {
  return {
      .attempt = get_attempt(in.getAttempt()),
      .node = get_id(in.getNode()),
      .offset = in.getOffset(),
      .bytes = reading.string(in.getBytes()),
      .note = reading.string(in.getNote(), kNameBytesMax),
      .complete = in.getComplete(),
  };
}

void put(schema::Quantiles::Builder out, const Quantiles& quantiles) {
  out.setCount(quantiles.count);
  out.setP50(quantiles.p50);
  out.setP99(quantiles.p99);
}

Quantiles get(schema::Quantiles::Reader in, Reading&) {
  return {.count = in.getCount(), .p50 = in.getP50(), .p99 = in.getP99()};
}

void put(schema::NodeStats::Builder out, const NodeStats& stats) {
  out.setTasksRun(stats.tasks_run);
  out.setTasksStolen(stats.tasks_stolen);
  out.setTasksGiven(stats.tasks_given);
  out.setRecords(stats.records);
  out.setCommits(stats.commits);
  out.setShardsHome(stats.shards_home);
  out.setShardsOwned(stats.shards_owned);
  out.setResidentBytes(stats.resident_bytes);
  out.setDroppedInputs(stats.dropped_inputs);
  put(out.initSync(), stats.sync);
  out.setUptimeMs(stats.uptime_ms);
  out.setCpuMillis(stats.cpu_millis);
  out.setCpuMillisFree(stats.cpu_millis_free);
  out.setMemoryBytes(stats.memory_bytes);
  out.setMemoryBytesFree(stats.memory_bytes_free);
  out.setRunning(stats.running);
  out.setReady(stats.ready);
}

NodeStats get(schema::NodeStats::Reader in, Reading& reading) {
  return {
      .tasks_run = in.getTasksRun(),
      .tasks_stolen = in.getTasksStolen(),
      .tasks_given = in.getTasksGiven(),
      .records = in.getRecords(),
      .commits = in.getCommits(),
      .shards_home = in.getShardsHome(),
      .shards_owned = in.getShardsOwned(),
      .resident_bytes = in.getResidentBytes(),
      .dropped_inputs = in.getDroppedInputs(),
      .sync = get(in.getSync(), reading),
      .uptime_ms = in.getUptimeMs(),
      .cpu_millis = in.getCpuMillis(),
      .cpu_millis_free = in.getCpuMillisFree(),
      .memory_bytes = in.getMemoryBytes(),
      .memory_bytes_free = in.getMemoryBytesFree(),
      .running = in.getRunning(),
      .ready = in.getReady(),
  };
}

void put(schema::MemberRow::Builder out, const MemberRow& row) {
  put_id(out.getNode(), row.node);
  out.setState(static_cast<std::uint8_t>(row.state));
  put(out.initInfo(), row.info);
  if (row.stats) put(out.initStats(), *row.stats);
  out.setSelf(row.self);
  out.setVersion(text(row.version));
}

MemberRow get(schema::MemberRow::Reader in, Reading& reading) {
  MemberRow row{
      .node = get_id(in.getNode()),
      .state = reading.enumerated(in.getState(), MemberState::left),
      .info = get(in.getInfo(), reading),
      .self = in.getSelf(),
      .version = reading.string(in.getVersion(), kNameBytesMax),
  };
  if (in.hasStats()) row.stats = get(in.getStats(), reading);
  return row;
}

void put(schema::ListMembers::Builder out, const ListMembers& list) {
  out.setWithStats(list.with_stats);
}

ListMembers get(schema::ListMembers::Reader in, Reading&) {
  return {.with_stats = in.getWithStats()};
}

void put(schema::MemberList::Builder out, const MemberList& list) {
  put_id(out.getCluster(), list.cluster);
  out.setServing(list.serving);
  out.setShardCount(list.shard_count);
  out.setWaitingFor(text(list.waiting_for));
  if (!list.members.empty()) put_list(out.initMembers(count(list.members)), list.members);
}

MemberList get(schema::MemberList::Reader in, Reading& reading) {
  return {
      .cluster = get_id<ClusterId>(in.getCluster()),
      .serving = in.getServing(),
      .shard_count = in.getShardCount(),
      .waiting_for = reading.string(in.getWaitingFor(), kNameBytesMax),
      .members = get_list<MemberRow>(in.getMembers(), reading, kMembersMax),
  };
}

void put(schema::GetRing::Builder out, const GetRing& wanted) {
  out.setOneOnly(wanted.job.has_value());
  out.setJob(wanted.job.value_or(JobId{}).value);
}

GetRing get(schema::GetRing::Reader in, Reading&) {
  GetRing wanted;
  if (in.getOneOnly()) wanted.job = JobId{in.getJob()};
  return wanted;
}

void put(schema::RingRow::Builder out, const RingRow& row) {
  out.setShard(number(row.shard));
  if (!row.home.empty()) put_ids(out.initHome(count(row.home)), row.home);
  put_id(out.getOwner(), row.owner);
  out.setRound(row.round);
}

RingRow get(schema::RingRow::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .home = get_ids(in.getHome(), reading, kHomesMax),
      .owner = get_id(in.getOwner()),
      .round = in.getRound(),
  };
}

void put(schema::Ring::Builder out, const Ring& ring) {
  out.setShardCount(ring.shard_count);
  if (!ring.rows.empty()) put_list(out.initRows(count(ring.rows)), ring.rows);
}

Ring get(schema::Ring::Reader in, Reading& reading) {
  return {
      .shard_count = in.getShardCount(),
      .rows = get_list<RingRow>(in.getRows(), reading, kShardsMax),
  };
}

void put(schema::CommandNode::Builder out, const CommandNode& command) {
  put_id(out.getNode(), command.node);
  put(out.initBody(), command.body);
}

CommandNode get(schema::CommandNode::Reader in, Reading& reading) {
  return {.node = get_id(in.getNode()), .body = get(in.getBody(), reading)};
}

void put(schema::ClientRequest::Builder out, const ClientRequest& request) {
  out.setId(request.id);
  std::visit(Overloaded{
                 [&](const CreateJob& body) { put(out.initCreateJob(), body); },
                 [&](const CreateTasks& body) { put(out.initCreateTasks(), body); },
                 [&](const CloseJob& body) { put(out.initCloseJob(), body); },
                 [&](const CancelRequest& body) { put(out.initCancelRequest(), body); },
                 [&](const GetJob& body) { put(out.initGetJob(), body); },
                 [&](const ShowTasks& body) { put(out.initShowTasks(), body); },
                 [&](const ListJobs& body) { put(out.initListJobs(), body); },
                 [&](const WatchJob& body) { put(out.initWatchJob(), body); },
                 [&](const ReadLog& body) { put(out.initReadLog(), body); },
                 [&](const ListMembers& body) { put(out.initListMembers(), body); },
                 [&](const GetRing& body) { put(out.initGetRing(), body); },
                 [&](const CommandNode& body) { put(out.initCommandNode(), body); },
             },
             request.body);
}

namespace {

ClientRequestBody get_body(schema::ClientRequest::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::ClientRequest::CREATE_JOB:
      return get(in.getCreateJob(), reading);
    case schema::ClientRequest::CREATE_TASKS:
      return get(in.getCreateTasks(), reading);
    case schema::ClientRequest::CLOSE_JOB:
      return get(in.getCloseJob(), reading);
    case schema::ClientRequest::CANCEL_REQUEST:
      return get(in.getCancelRequest(), reading);
    case schema::ClientRequest::GET_JOB:
      return get(in.getGetJob(), reading);
    case schema::ClientRequest::SHOW_TASKS:
      return get(in.getShowTasks(), reading);
    case schema::ClientRequest::LIST_JOBS:
      return get(in.getListJobs(), reading);
    case schema::ClientRequest::WATCH_JOB:
      return get(in.getWatchJob(), reading);
    case schema::ClientRequest::READ_LOG:
      return get(in.getReadLog(), reading);
    case schema::ClientRequest::LIST_MEMBERS:
      return get(in.getListMembers(), reading);
    case schema::ClientRequest::GET_RING:
      return get(in.getGetRing(), reading);
    case schema::ClientRequest::COMMAND_NODE:
      return get(in.getCommandNode(), reading);
  }
  reading.reject("a request of an unknown kind");
  return {};
}

}  // namespace

ClientRequest get(schema::ClientRequest::Reader in, Reading& reading) {
  return {.id = in.getId(), .body = get_body(in, reading)};
}

void put(schema::ClientForget::Builder out, const ClientForget& forget) { out.setId(forget.id); }

ClientForget get(schema::ClientForget::Reader in, Reading&) { return {.id = in.getId()}; }

void put(schema::ClientReply::Builder out, const ClientReply& reply) {
  out.setId(reply.id);
  out.setLast(reply.last);
  std::visit(Overloaded{
                 [&](const Done& body) { put(out.initDone(), body); },
                 [&](const Error& body) { put(out.initError(), body); },
                 [&](const JobReply& body) { put(out.initJobReply(), body); },
                 [&](const TasksReply& body) { put(out.initTasksReply(), body); },
                 [&](const JobList& body) { put(out.initJobList(), body); },
                 [&](const WatchEvent& body) { put(out.initWatchEvent(), body); },
                 [&](const LogData& body) { put(out.initLogData(), body); },
                 [&](const MemberList& body) { put(out.initMemberList(), body); },
                 [&](const Ring& body) { put(out.initRing(), body); },
                 [&](const ShardCopy& body) { put(out.initShardCopy(), body); },
             },
             reply.body);
}

namespace {

ClientReplyBody get_body(schema::ClientReply::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::ClientReply::DONE:
      return get(in.getDone(), reading);
    case schema::ClientReply::ERROR:
      return get(in.getError(), reading);
    case schema::ClientReply::JOB_REPLY:
      return get(in.getJobReply(), reading);
    case schema::ClientReply::TASKS_REPLY:
      return get(in.getTasksReply(), reading);
    case schema::ClientReply::JOB_LIST:
      return get(in.getJobList(), reading);
    case schema::ClientReply::WATCH_EVENT:
      return get(in.getWatchEvent(), reading);
    case schema::ClientReply::LOG_DATA:
      return get(in.getLogData(), reading);
    case schema::ClientReply::MEMBER_LIST:
      return get(in.getMemberList(), reading);
    case schema::ClientReply::RING:
      return get(in.getRing(), reading);
    case schema::ClientReply::SHARD_COPY:
      return get(in.getShardCopy(), reading);
  }
  reading.reject("a reply of an unknown kind");
  return {};
}

}  // namespace

ClientReply get(schema::ClientReply::Reader in, Reading& reading) {
  return {.id = in.getId(), .last = in.getLast(), .body = get_body(in, reading)};
}

void put(schema::NodeQuery::Builder out, const NodeQuery& query) {
  out.setId(query.id);
  std::visit(Overloaded{
                 [&](const ListJobs& body) { put(out.initListJobs(), body); },
                 [&](const ListMembers& body) { put(out.initListMembers(), body); },
             },
             query.body);
}

NodeQuery get(schema::NodeQuery::Reader in, Reading& reading) {
  NodeQuery query{.id = in.getId()};
  switch (in.which()) {
    case schema::NodeQuery::LIST_JOBS:
      query.body = get(in.getListJobs(), reading);
      return query;
    case schema::NodeQuery::LIST_MEMBERS:
      query.body = get(in.getListMembers(), reading);
      return query;
  }
  reading.reject("a query of an unknown kind");
  return query;
}

void put(schema::NodeAnswer::Builder out, const NodeAnswer& answer) {
  out.setId(answer.id);
  if (!answer.jobs.empty()) put_list(out.initJobs(count(answer.jobs)), answer.jobs);
  if (answer.stats) put(out.initStats(), *answer.stats);
  out.setVersion(text(answer.version));
}

NodeAnswer get(schema::NodeAnswer::Reader in, Reading& reading) {
  NodeAnswer answer{
      .id = in.getId(),
      .jobs = get_list<JobStatus>(in.getJobs(), reading),
      .version = reading.string(in.getVersion(), kNameBytesMax),
  };
  if (in.hasStats()) answer.stats = get(in.getStats(), reading);
  return answer;
}

}  // namespace shoal::wire
