#include "shoal/client.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <utility>

#include "fake_node.hpp"
#include "fixture.hpp"

namespace shoal {
namespace {

using client::FakeJob;
using client::FakeNode;
using client::Fixture;
using client::quick;
using client::World;

Submission array_of(std::size_t count) {
  Submission submission{.name = "many", .array = true};
  submission.spec.argv = {"echo", "{}"};
  for (std::size_t i = 0; i < count; ++i) submission.arguments.push_back(std::to_string(i));
  return submission;
}

wire::TaskEvent event_of(std::uint32_t index, TaskState state, std::uint32_t attempt) {
  wire::TaskEvent event;
  event.status = {.index = index, .state = state, .attempt = attempt};
  return event;
}

JobStatus status_of(JobId id, JobState state, std::uint32_t succeeded, std::uint32_t total) {
  JobStatus status{.id = id, .state = state, .count = total};
  status.counts = {.total = total, .succeeded = succeeded};
  return status;
}

}  // namespace

TEST_CASE("client: a submission goes on when its gateway dies in the middle, nothing twice") {
  Fixture f;
  const auto first = FakeNode::start(f.context, f.world);
  const auto second = FakeNode::start(f.context, f.world);
  std::uint32_t batches = 0;
  f.world.hook = [&](std::uint16_t port, const wire::ClientRequestBody& body, const World::Send&) {
    const auto* tasks = std::get_if<wire::CreateTasks>(&body);
    if (port != first->port() || tasks == nullptr || ++batches < 5) return false;
    // The fifth batch is taken, and its taker dies before it can say so.
    for (const wire::NewElement& element : tasks->elements) {
      f.world.jobs[tasks->job].elements.emplace(element.index, element.argument);
    }
    first->die();
    return true;
  };

  Client client(f.context, quick({first->address()}));  // The second is learnt of.
  std::uint32_t heard = 0;
  const auto submitted =
      f.run(client.submit(array_of(20'000), [&](std::uint32_t accepted) { heard = accepted; }));
  REQUIRE(submitted);
  CHECK(submitted->copies == 3);
  CHECK(heard == 20'000);
  CHECK(client.gateway() == second->address());
  REQUIRE(f.world.jobs.size() == 1);
  const FakeJob& job = f.world.jobs.begin()->second;
  CHECK(job.closed);
  CHECK(job.contradictions == 0);
  REQUIRE(job.elements.size() == 20'000);
  CHECK(job.elements.at(12'345) == "12345");
  CHECK(job.created.count == 20'000);
}

TEST_CASE("client: an id that somebody else has is minted anew") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  std::vector<JobId> asked;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    const auto* create = std::get_if<wire::CreateJob>(&body);
    if (create == nullptr) return false;
    asked.push_back(create->job);
    if (asked.size() > 1) return false;
    send(Error{ErrorCode::conflict, "id taken"}, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto submitted = f.run(client.submit({.name = "one", .spec = {.argv = {"true"}}}));
  REQUIRE(submitted);
  REQUIRE(asked.size() == 2);
  CHECK(asked[0] != asked[1]);
  CHECK(submitted->id == asked[1]);

  // A resumed submission has its id for good.
  asked.clear();
  const Submission resumed{
      .name = "one", .spec = {.argv = {"true"}}, .id = submitted->id, .nonce = Nonce{1, 2}};
  const auto refused = f.run(client.submit(resumed));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::conflict);
}

TEST_CASE("client: a watch is put again on another node, and repeats are dropped") {
  Fixture f;
  const auto first = FakeNode::start(f.context, f.world);
  const auto second = FakeNode::start(f.context, f.world);
  const JobId id{77};
  f.world.hook = [&](std::uint16_t port, const wire::ClientRequestBody& body,
                     const World::Send& send) {
    if (!std::holds_alternative<wire::WatchJob>(body)) return false;
    wire::WatchEvent event;
    event.tasks = {event_of(0, TaskState::claimed, 1), event_of(1, TaskState::ready, 0)};
    if (port == first->port()) {
      event.job = status_of(id, JobState::closed, 0, 2);
      send(event, false);
      first->die();
      return true;
    }
    // An older view of task 1's beginning, then the ends; the last one twice.
    event.tasks.push_back(event_of(0, TaskState::succeeded, 1));
    event.tasks.push_back(event_of(1, TaskState::claimed, 1));
    event.tasks.push_back(event_of(1, TaskState::failed, 2));
    event.tasks.push_back(event_of(1, TaskState::failed, 2));
    send(event, false);
    send(wire::WatchEvent{.job = status_of(id, JobState::finished, 1, 2)}, true);
    return true;
  };
  Client client(f.context, quick({first->address(), second->address()}));
  std::vector<std::pair<std::uint32_t, TaskState>> seen;
  const auto ended =
      f.run(client.watch(id, {}, [&](const std::vector<TaskUpdate>& updates, const JobStatus*) {
        for (const TaskUpdate& update : updates) {
          seen.emplace_back(update.status.index, update.status.state);
        }
        return true;
      }));
  REQUIRE(ended);
  CHECK(ended->state == JobState::finished);
  const std::vector<std::pair<std::uint32_t, TaskState>> expected{{0, TaskState::claimed},
                                                                  {1, TaskState::ready},
                                                                  {0, TaskState::succeeded},
                                                                  {1, TaskState::claimed},
                                                                  {1, TaskState::failed}};
  CHECK(seen == expected);
}

TEST_CASE("client: a finished job whose watch left a task out is asked for that task") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (std::holds_alternative<wire::WatchJob>(body)) {
      send(wire::WatchEvent{.job = status_of({77}, JobState::finished, 1, 1)}, true);
      return true;
    }
    if (!std::holds_alternative<wire::ShowTasks>(body)) return false;
    send(wire::TasksReply{.tasks = {event_of(0, TaskState::succeeded, 1).status}}, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  std::size_t told = 0;
  const auto ended =
      f.run(client.watch({77}, {}, [&](const std::vector<TaskUpdate>& updates, const JobStatus*) {
        told += updates.size();
        return true;
      }));
  REQUIRE(ended);
  CHECK(told == 1);
}

TEST_CASE("client: output is read on from where it broke off") {
  Fixture f;
  const auto first = FakeNode::start(f.context, f.world);
  const auto second = FakeNode::start(f.context, f.world);
  f.world.hook = [&](std::uint16_t port, const wire::ClientRequestBody& body,
                     const World::Send& send) {
    const auto* read = std::get_if<wire::ReadLog>(&body);
    if (read == nullptr) return false;
    wire::LogData data{.attempt = {{{77}, 0}, 1}};
    if (port == first->port()) {
      data.bytes = "hello ";
      send(data, false);
      first->die();
      return true;
    }
    CHECK(read->offset == 6);
    CHECK(read->attempt == 1);
    data.offset = 4;  // Two bytes too many: they were heard already.
    data.bytes = "o world";
    send(data, true);
    return true;
  };
  Client client(f.context, quick({first->address(), second->address()}));
  std::string output;
  const auto read = f.run(client.read_log({{77}, 0}, 0, true, 0, [&](const LogPiece& piece) {
    output += piece.bytes;
    return true;
  }));
  REQUIRE(read);
  CHECK(output == "hello world");
}

TEST_CASE("client: an answer of unavailable is asked for again until there is one") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  int refusals = 3;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::CreateJob>(body) || refusals-- == 0) return false;
    send(Error{ErrorCode::unavailable, "its owner does not answer"}, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto submitted = f.run(client.submit({.name = "one", .spec = {.argv = {"true"}}}));
  CHECK(submitted.has_value());
}

TEST_CASE("client: when nobody listens the error names who was tried, at once") {
  Fixture f;
  const auto gone = FakeNode::start(f.context, f.world);
  const auto gone_too = FakeNode::start(f.context, f.world);
  gone->die();
  gone_too->die();
  Client client(f.context, quick({gone->address(), gone_too->address()}));
  const auto begun = std::chrono::steady_clock::now();
  const auto view = f.run(client.members());
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  REQUIRE(!view);
  CHECK(view.error().code == ErrorCode::unavailable);
  CHECK(view.error().message.find(gone->address()) != std::string::npos);
  CHECK(view.error().message.find(gone_too->address()) != std::string::npos);
  CHECK(view.error().message.find("refused") != std::string::npos);
}

TEST_CASE("client: a node that sends garbage is an error, not a crash") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  SUBCASE("in place of frames") { node->garbage = std::string(4096, '\x7f'); }
  SUBCASE("in place of a greeting") {
    node->greets = false;
    node->garbage = "HTTP/1.1 400 Bad Request\r\n\r\n";
  }
  ClientOptions options = quick({node->address()});
  options.timeout = std::chrono::milliseconds(700);
  Client client(f.context, options);
  const auto view = f.run(client.members());
  REQUIRE(!view);
  CHECK(view.error().code == ErrorCode::unavailable);
}

TEST_CASE("client: an array that stops half way says how much is in and how to go on") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  int batches = 0;
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::CreateTasks>(body) || ++batches != 3) return false;
    send(Error{ErrorCode::refused, "the job was cancelled"}, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto submitted = f.run(client.submit(array_of(4096)));
  REQUIRE(!submitted);
  CHECK(submitted.error().code == ErrorCode::refused);
  CHECK(submitted.error().message.find("3072 of 4096 tasks") != std::string::npos);

  // Going on under the same id completes it.
  REQUIRE(f.world.jobs.size() == 1);
  Submission again = array_of(4096);
  again.id = f.world.jobs.begin()->first;
  again.nonce = f.world.jobs.begin()->second.created.nonce;
  const auto whole = f.run(client.submit(std::move(again)));
  REQUIRE(whole);
  CHECK(f.world.jobs.begin()->second.elements.size() == 4096);
  CHECK(f.world.jobs.begin()->second.closed);
}

TEST_CASE("client: a description or name beyond its limit is refused before it is sent") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  Client client(f.context, quick({node->address()}));
  Submission named = array_of(1);
  named.name = std::string(4097, 'n');
  const auto long_name = f.run(client.submit(named));
  REQUIRE_FALSE(long_name);
  CHECK(long_name.error().code == ErrorCode::bad_input);
  CHECK(long_name.error().message.find("name") != std::string::npos);
  Submission large = array_of(1);
  large.spec.argv = {"echo", std::string(kSpecBytesMax, 'x')};
  const auto refused = f.run(client.submit(large));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::bad_input);
  CHECK(f.world.jobs.empty());
}

TEST_CASE("client: a prefix that fits several jobs names them") {
  Fixture f;
  const auto node = FakeNode::start(f.context, f.world);
  std::vector<JobStatus> jobs{{.id = {32 * 7 + 1}, .name = "a"}, {.id = {32 * 9 + 1}, .name = "b"}};
  f.world.hook = [&](std::uint16_t, const wire::ClientRequestBody& body, const World::Send& send) {
    if (!std::holds_alternative<wire::ListJobs>(body)) return false;
    send(wire::JobList{.jobs = jobs}, true);
    return true;
  };
  Client client(f.context, quick({node->address()}));
  const auto several = f.run(client.resolve("1"));
  REQUIRE(!several);
  CHECK(several.error().code == ErrorCode::conflict);
  CHECK(several.error().message.find("(a)") != std::string::npos);
  jobs.pop_back();
  CHECK(f.run(client.resolve("1")) == JobId{32 * 7 + 1});
  jobs.clear();
  const auto none = f.run(client.resolve("nosuch"));
  REQUIRE(!none);
  CHECK(none.error().code == ErrorCode::not_found);
}

}  // namespace shoal
