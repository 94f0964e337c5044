#include "wire/codec_types.hpp"

namespace shoal::wire {

void put(schema::NewElement::Builder out, const NewElement& element) {
  out.setIndex(element.index);
  if (!element.argument.empty()) out.setArgument(blob(element.argument));
}

NewElement get(schema::NewElement::Reader in, Reading& reading) {
  return {.index = in.getIndex(), .argument = reading.string(in.getArgument(), kArgumentBytesMax)};
}

void put(schema::CreateJob::Builder out, const CreateJob& create) {
  out.setJob(create.job.value);
  put_id(out.getNonce(), create.nonce);
  out.setName(blob(create.name));
  put(out.initSpec(), create.spec);
  out.setCount(create.count);
  out.setSingle(create.single);
  if (!create.argument.empty()) out.setArgument(blob(create.argument));
}

CreateJob get(schema::CreateJob::Reader in, Reading& reading) {
  return {
      .job = JobId{in.getJob()},
      .nonce = get_id<Nonce>(in.getNonce()),
      .name = reading.string(in.getName(), kNameBytesMax),
      .spec = get(in.getSpec(), reading),
      .count = in.getCount(),
      .single = in.getSingle(),
      .argument = reading.string(in.getArgument(), kArgumentBytesMax),
  };
}

void put(schema::CreateTasks::Builder out, const CreateTasks& create) {
  out.setJob(create.job.value);
  put_id(out.getNonce(), create.nonce);
  put(out.initSpec(), create.spec);
  if (!create.elements.empty()) put_list(out.initElements(count(create.elements)), create.elements);
}

CreateTasks get(schema::CreateTasks::Reader in, Reading& reading) {
  return {
      .job = JobId{in.getJob()},
      .nonce = get_id<Nonce>(in.getNonce()),
      .spec = get(in.getSpec(), reading),
      .elements = get_list<NewElement>(in.getElements(), reading),
  };
}

void put(schema::CloseJob::Builder out, const CloseJob& close) {
  out.setJob(close.job.value);
  put_id(out.getNonce(), close.nonce);
}

CloseJob get(schema::CloseJob::Reader in, Reading&) {
  return {.job = JobId{in.getJob()}, .nonce = get_id<Nonce>(in.getNonce())};
}

void put(schema::CancelJob::Builder out, const CancelJob& cancel) { out.setJob(cancel.job.value); }

CancelJob get(schema::CancelJob::Reader in, Reading&) { return {.job = JobId{in.getJob()}}; }

void put(schema::CancelTasks::Builder out, const CancelTasks& cancel) {
  out.setJob(cancel.job.value);
  out.setOneOnly(cancel.index.has_value());
  out.setIndex(cancel.index.value_or(0));
}

CancelTasks get(schema::CancelTasks::Reader in, Reading&) {
  CancelTasks cancel{.job = JobId{in.getJob()}};
  if (in.getOneOnly()) cancel.index = in.getIndex();
  return cancel;
}

void put(schema::GetJob::Builder out, const GetJob& wanted) {
  out.setJob(wanted.job.value);
  out.setLocal(wanted.local);
}

GetJob get(schema::GetJob::Reader in, Reading&) {
  return {.job = JobId{in.getJob()}, .local = in.getLocal()};
}

void put(schema::GetTasks::Builder out, const GetTasks& wanted) {
  out.setJob(wanted.job.value);
  out.setFrom(wanted.from);
  out.setLimit(wanted.limit);
  out.setStates(wanted.states);
  out.setLocal(wanted.local);
}

GetTasks get(schema::GetTasks::Reader in, Reading&) {
  return {
      .job = JobId{in.getJob()},
      .from = in.getFrom(),
      .limit = in.getLimit(),
      .states = in.getStates(),
      .local = in.getLocal(),
  };
}

void put(schema::WatchShard::Builder out, const WatchShard& watch) {
  out.setJob(watch.job.value);
  out.setWatch(watch.watch);
  out.setWithOutput(watch.with_output);
  out.setStop(watch.stop);
}

WatchShard get(schema::WatchShard::Reader in, Reading&) {
  return {
      .job = JobId{in.getJob()},
      .watch = in.getWatch(),
      .with_output = in.getWithOutput(),
      .stop = in.getStop(),
  };
}

void put(schema::GetTail::Builder out, const GetTail& wanted) {
  put_attempt(out.getAttempt(), wanted.attempt);
  out.setStream(static_cast<std::uint8_t>(wanted.stream));
}

GetTail get(schema::GetTail::Reader in, Reading& reading) {
  return {
      .attempt = get_attempt(in.getAttempt()),
      .stream = reading.enumerated(in.getStream(), task::Stream::err),
  };
}

void put(schema::OwnerRequest::Builder out, const OwnerRequest& request) {
  out.setId(request.id);
  out.setShard(number(request.shard));
  std::visit(Overloaded{
                 [&](const CreateJob& body) { put(out.initCreateJob(), body); },
                 [&](const CreateTasks& body) { put(out.initCreateTasks(), body); },
                 [&](const CloseJob& body) { put(out.initCloseJob(), body); },
                 [&](const CancelJob& body) { put(out.initCancelJob(), body); },
                 [&](const CancelTasks& body) { put(out.initCancelTasks(), body); },
                 [&](const GetJob& body) { put(out.initGetJob(), body); },
                 [&](const GetTasks& body) { put(out.initGetTasks(), body); },
                 [&](const WatchShard& body) { put(out.initWatchShard(), body); },
                 [&](const GetTail& body) { put(out.initGetTail(), body); },
             },
             request.body);
}

namespace {

OwnerRequestBody get_body(schema::OwnerRequest::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::OwnerRequest::CREATE_JOB:
      return get(in.getCreateJob(), reading);
    case schema::OwnerRequest::CREATE_TASKS:
      return get(in.getCreateTasks(), reading);
    case schema::OwnerRequest::CLOSE_JOB:
      return get(in.getCloseJob(), reading);
    case schema::OwnerRequest::CANCEL_JOB:
      return get(in.getCancelJob(), reading);
    case schema::OwnerRequest::CANCEL_TASKS:
      return get(in.getCancelTasks(), reading);
    case schema::OwnerRequest::GET_JOB:
      return get(in.getGetJob(), reading);
    case schema::OwnerRequest::GET_TASKS:
      return get(in.getGetTasks(), reading);
    case schema::OwnerRequest::WATCH_SHARD:
      return get(in.getWatchShard(), reading);
    case schema::OwnerRequest::GET_TAIL:
      return get(in.getGetTail(), reading);
  }
  reading.reject("a request of an unknown kind");
  return {};
}

}  // namespace

OwnerRequest get(schema::OwnerRequest::Reader in, Reading& reading) {
  return {.id = in.getId(), .shard = ShardId{in.getShard()}, .body = get_body(in, reading)};
}

void put(schema::OwnerRequests::Builder out, const OwnerRequests& requests) {
  put_items(out, requests);
}

OwnerRequests get(schema::OwnerRequests::Reader in, Reading& reading) {
  return {.items = get_list<OwnerRequest>(in.getItems(), reading)};
}

void put(schema::Done::Builder out, const Done& done) { out.setCopies(done.copies); }

Done get(schema::Done::Reader in, Reading&) { return {.copies = in.getCopies()}; }

void put(schema::WrongOwner::Builder out, const WrongOwner& wrong) {
  put(out.initEntry(), wrong.entry);
}

WrongOwner get(schema::WrongOwner::Reader in, Reading& reading) {
  return {.entry = get(in.getEntry(), reading)};
}

void put(schema::JobReply::Builder out, const JobReply& reply) {
  put(out.initStatus(), reply.status);
  put_id(out.getOwner(), reply.owner);
  if (!reply.home.empty()) put_ids(out.initHome(count(reply.home)), reply.home);
  if (reply.single) put(out.initSingle(), *reply.single);
}

JobReply get(schema::JobReply::Reader in, Reading& reading) {
  JobReply reply{
      .status = get(in.getStatus(), reading),
      .owner = get_id(in.getOwner()),
      .home = get_ids(in.getHome(), reading, kHomesMax),
  };
  if (in.hasSingle()) reply.single = get(in.getSingle(), reading);
  return reply;
}

void put(schema::TasksReply::Builder out, const TasksReply& reply) {
  if (!reply.tasks.empty()) put_list(out.initTasks(count(reply.tasks)), reply.tasks);
  out.setMore(reply.more);
  out.setNext(reply.next);
  if (!reply.missing.empty()) {
    put_numbers<std::uint32_t>(out.initMissing(count(reply.missing)), reply.missing);
  }
}

TasksReply get(schema::TasksReply::Reader in, Reading& reading) {
  return {
      .tasks = get_list<TaskStatus>(in.getTasks(), reading),
      .more = in.getMore(),
      .missing = get_numbers<ShardId>(in.getMissing(), reading, kShardsMax),
      .next = in.getNext(),
  };
}

void put(schema::TailReply::Builder out, const TailReply& reply) {
  out.setKnown(reply.known);
  out.setBytes(blob(reply.bytes));
}

TailReply get(schema::TailReply::Reader in, Reading& reading) {
  return {.known = in.getKnown(), .bytes = reading.string(in.getBytes(), kOutputTailBytes)};
}

void put(schema::OwnerReply::Builder out, const OwnerReply& reply) {
  out.setId(reply.id);
  std::visit(Overloaded{
                 [&](const Done& body) { put(out.initDone(), body); },
                 [&](const Error& body) { put(out.initError(), body); },
                 [&](const WrongOwner& body) { put(out.initWrongOwner(), body); },
                 [&](const JobReply& body) { put(out.initJobReply(), body); },
                 [&](const TasksReply& body) { put(out.initTasksReply(), body); },
                 [&](const TailReply& body) { put(out.initTailReply(), body); },
             },
             reply.body);
}

namespace {

OwnerReplyBody get_body(schema::OwnerReply::Reader in, Reading& reading) {
  switch (in.which()) {
    case schema::OwnerReply::DONE:
      return get(in.getDone(), reading);
    case schema::OwnerReply::ERROR:
      return get(in.getError(), reading);
    case schema::OwnerReply::WRONG_OWNER:
      return get(in.getWrongOwner(), reading);
    case schema::OwnerReply::JOB_REPLY:
      return get(in.getJobReply(), reading);
    case schema::OwnerReply::TASKS_REPLY:
      return get(in.getTasksReply(), reading);
    case schema::OwnerReply::TAIL_REPLY:
      return get(in.getTailReply(), reading);
  }
  reading.reject("a reply of an unknown kind");
  return {};
}

}  // namespace

OwnerReply get(schema::OwnerReply::Reader in, Reading& reading) {
  return {.id = in.getId(), .body = get_body(in, reading)};
}

void put(schema::OwnerReplies::Builder out, const OwnerReplies& replies) {
  put_items(out, replies);
}

OwnerReplies get(schema::OwnerReplies::Reader in, Reading& reading) {
  return {.items = get_list<OwnerReply>(in.getItems(), reading)};
}

void put(schema::TaskEvent::Builder out, const TaskEvent& event) {
  put(out.initStatus(), event.status);
  if (!event.has_tails) return;
  auto tails = out.initTails();
  tails.setOut(blob(event.tails[0]));
  tails.setErr(blob(event.tails[1]));
}

TaskEvent get(schema::TaskEvent::Reader in, Reading& reading) {
  TaskEvent event{.status = get(in.getStatus(), reading), .has_tails = in.hasTails()};
  if (!event.has_tails) return event;
  const auto tails = in.getTails();
  event.tails = {reading.string(tails.getOut(), kOutputTailBytes),
                 reading.string(tails.getErr(), kOutputTailBytes)};
  return event;
}

void put(schema::TaskEvents::Builder out, const TaskEvents& events) {
  out.setWatch(events.watch);
  out.setShard(number(events.shard));
  if (!events.events.empty()) put_list(out.initEvents(count(events.events)), events.events);
  out.setSnapshotEnd(events.snapshot_end);
}

TaskEvents get(schema::TaskEvents::Reader in, Reading& reading) {
  return {
      .watch = in.getWatch(),
      .shard = ShardId{in.getShard()},
      .events = get_list<TaskEvent>(in.getEvents(), reading),
      .snapshot_end = in.getSnapshotEnd(),
  };
}

void put(schema::JobEvent::Builder out, const JobEvent& event) {
  out.setWatch(event.watch);
  put(out.initStatus(), event.status);
}

JobEvent get(schema::JobEvent::Reader in, Reading& reading) {
  return {.watch = in.getWatch(), .status = get(in.getStatus(), reading)};
}

void put(schema::CountItem::Builder out, const CountItem& item) {
  out.setJob(item.job.value);
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  put(out.initCounts(), item.counts);
  out.setCancelled(item.cancelled);
}

CountItem get(schema::CountItem::Reader in, Reading& reading) {
  return {
      .job = JobId{in.getJob()},
      .shard = ShardId{in.getShard()},
      .ballot = get_ballot(in.getBallot()),
      .counts = get(in.getCounts(), reading),
      .cancelled = in.getCancelled(),
  };
}

void put(schema::CountReport::Builder out, const CountReport& report) { put_items(out, report); }

CountReport get(schema::CountReport::Reader in, Reading& reading) {
  return {.items = get_list<CountItem>(in.getItems(), reading)};
}

void put(schema::CountQueryItem::Builder out, const CountQueryItem& item) {
  out.setJob(item.job.value);
  out.setShard(number(item.shard));
  out.setCancelled(item.cancelled);
}

CountQueryItem get(schema::CountQueryItem::Reader in, Reading&) {
  return {
      .job = JobId{in.getJob()},
      .shard = ShardId{in.getShard()},
      .cancelled = in.getCancelled(),
  };
}

void put(schema::CountQuery::Builder out, const CountQuery& query) { put_items(out, query); }

CountQuery get(schema::CountQuery::Reader in, Reading& reading) {
  return {.items = get_list<CountQueryItem>(in.getItems(), reading)};
}

}  // namespace shoal::wire
