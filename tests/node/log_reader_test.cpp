#include "node/log_reader.hpp"

#include <doctest/doctest.h>

#include "gateway_world.hpp"

namespace shoal::node {
namespace {

using namespace std::chrono_literals;

const TaskId kTask{JobId{0x1234567}, 5};

TaskStatus task_at(TaskState state, std::uint32_t attempt, std::uint64_t node,
                   std::uint64_t bytes = 0) {
  TaskStatus made{.index = 5, .state = state, .attempt = attempt};
  if (attempt > 0) made.node = GatewayWorld::id(node);
  if (state != TaskState::ready && state != TaskState::claimed) {
    made.result = AttemptResult{.output_bytes = {bytes, 0}};
  }
  return made;
}

struct LogWorld : GatewayWorld {
  void open(const wire::ReadLog& ask, const TaskStatus& task) {
    client(1, ask);
    show(task);
  }
  void show(const TaskStatus& task) {
    answer_all<wire::GetTasks>(wire::TasksReply{{task}, false, {}});
  }
  // Answers the one piece that was asked for.
  void piece(const std::string& bytes, bool over, bool held = true) {
    const auto reads = messages<wire::ReadOutput>();
    REQUIRE(reads.size() == 1);
    const auto& [to, request] = reads[0];
    gateway.on_output_data(now, to,
                           {{.request = request.read.request,
                             .known = held,
                             .ended = over,
                             .offset = request.read.offset,
                             .bytes = bytes}});
    settle();
  }
  wire::LogData data(std::size_t index) const {
    REQUIRE(heard.size() > index);
    REQUIRE(std::holds_alternative<wire::LogData>(heard[index].body));
    return std::get<wire::LogData>(heard[index].body);
  }
};

}  // namespace

TEST_CASE("log: a file is relayed piece by piece to its end") {
  LogWorld world;
  world.open({.task = kTask}, task_at(TaskState::succeeded, 1, 3, 10));
  world.piece("hello ", false);
  world.piece("shoal", true);
  REQUIRE(world.heard.size() == 3);
  CHECK(world.data(0).bytes == "hello ");
  CHECK(world.data(0).node == world.id(3));
  CHECK(world.data(1).offset == 6);
  CHECK_FALSE(world.heard[1].last);
  CHECK(world.heard[2].last);
  CHECK(world.data(2).complete);
  CHECK(world.gateway.open_count() == 0);
}

TEST_CASE("log: a task that does not exist is refused, and of index 0 the job is asked too") {
  LogWorld world;
  world.client(1, wire::ReadLog{.task = kTask});
  world.answer_all<wire::GetTasks>(wire::TasksReply{});
  REQUIRE(world.refusal());
  CHECK(world.refusal()->code == ErrorCode::not_found);

  world.client(2, wire::ReadLog{.task = {kTask.job, 0}});
  world.answer_all<wire::GetTasks>(wire::TasksReply{});
  wire::JobReply job{.status = {.id = kTask.job, .count = 1}};
  job.single = task_at(TaskState::succeeded, 1, 2, 3);
  world.answer_all<wire::GetJob>(job);
  world.piece("abc", true);
  CHECK(world.heard.back().last);
}

TEST_CASE("log: following goes on while the attempt runs, and over to the next one") {
  LogWorld world;
  world.open({.task = kTask, .follow = true}, task_at(TaskState::claimed, 1, 3));
  world.piece("one", false);
  world.piece("", false);  // Nothing new: asked again after 100 ms.
  CHECK(world.messages<wire::ReadOutput>().empty());
  world.pass(100ms);
  world.piece("", true);
  world.show(task_at(TaskState::ready, 1, 3));  // Failed, and to be retried.
  CHECK_FALSE(world.heard.back().last);
  world.pass(200ms);
  world.show(task_at(TaskState::claimed, 2, 2));
  CHECK(world.data(1).note == "attempt 2 starts on n2");
  world.piece("two", true);
  CHECK(world.data(2).offset == 0);
  CHECK(world.data(2).attempt.number == 2);
  world.show(task_at(TaskState::succeeded, 2, 2, 3));
  CHECK(world.heard.back().last);
}

TEST_CASE("log: what has not started is waited for only when following") {
  LogWorld world;
  world.open({.task = kTask}, task_at(TaskState::ready, 0, 0));
  CHECK(world.heard.back().last);
  CHECK(world.data(0).note.find("has not started yet") != std::string::npos);

  world.heard.clear();
  world.open({.task = kTask, .follow = true}, task_at(TaskState::ready, 0, 0));
  CHECK(world.heard.empty());
  world.pass(200ms);
  world.show(task_at(TaskState::claimed, 1, 2));
  CHECK(world.messages<wire::ReadOutput>().size() == 1);
}

TEST_CASE("log: the tail stands in for a dead node, and says when it is not all") {
  LogWorld world;
  world.kill(2);
  const std::uint64_t total = kOutputTailBytes + 1000;
  world.open({.task = kTask}, task_at(TaskState::failed, 1, 2, total));
  CHECK(world.messages<wire::ReadOutput>().empty());
  world.answer_all<wire::GetTail>(wire::TailReply{true, std::string(kOutputTailBytes, 'x')});
  REQUIRE(world.heard.size() == 1);
  CHECK(world.heard[0].last);
  CHECK(world.data(0).offset == 1000);
  CHECK_FALSE(world.data(0).complete);
  CHECK(world.data(0).note.find("n2 is away") != std::string::npos);

  world.heard.clear();  // A client that has read on to 2,000 misses nothing.
  world.open({.task = kTask, .offset = 2000}, task_at(TaskState::failed, 1, 2, total));
  world.answer_all<wire::GetTail>(wire::TailReply{true, std::string(kOutputTailBytes, 'x')});
  CHECK(world.data(0).offset == 2000);
  CHECK(world.data(0).bytes.size() == total - 2000);
  CHECK(world.data(0).complete);

  world.heard.clear();  // What is shorter than a tail is the whole stream.
  world.open({.task = kTask}, task_at(TaskState::failed, 1, 2, 4));
  world.answer_all<wire::GetTail>(wire::TailReply{true, "four"});
  CHECK(world.data(0).bytes == "four");
  CHECK(world.data(0).complete);
}

TEST_CASE("log: a node that is silent for 3 s is not waited for") {
  LogWorld world;
  world.open({.task = kTask}, task_at(TaskState::failed, 1, 2, 4));
  world.pass(1s);
  world.gateway.on_peer_closed(world.now, world.id(2));
  world.pass(1900ms);
  CHECK(world.asked<wire::GetTail>().empty());
  world.pass(200ms);
  world.answer_all<wire::GetTail>(wire::TailReply{true, "four"});
  CHECK(world.data(0).bytes == "four");
  CHECK(world.heard.back().last);
}

TEST_CASE("log: a stream without output has no file and needs no tail") {
  LogWorld world;
  world.open({.task = kTask}, task_at(TaskState::succeeded, 1, 2, 0));
  world.piece("", false, false);
  CHECK(world.asked<wire::GetTail>().empty());
  CHECK(world.heard.back().last);
  CHECK(world.data(0).complete);
}

TEST_CASE("log: following an attempt whose node died waits for the next attempt") {
  LogWorld world;
  world.open({.task = kTask, .follow = true}, task_at(TaskState::claimed, 1, 2));
  world.piece("one", false);
  world.kill(2);
  world.messages<wire::ReadOutput>();
  world.pass(3200ms);  // Silence, then a look.
  CHECK_FALSE(world.data(1).complete);
  CHECK(world.data(1).note.find("waiting for it, or for the next attempt") != std::string::npos);
  world.show(task_at(TaskState::claimed, 2, 3));
  world.answer_all<wire::GetTail>(wire::TailReply{});
  world.show(task_at(TaskState::claimed, 2, 3));
  CHECK(world.data(world.heard.size() - 1).note == "attempt 2 starts on n3");
  CHECK(world.messages<wire::ReadOutput>().size() == 1);
}

TEST_CASE("log: another gateway reads this node's files") {
  LogWorld world;
  world.gateway.on_read_output(world.now, world.id(3),
                               {{.request = 44, .attempt = {kTask, 1}, .bytes_max = 1U << 30}});
  REQUIRE(world.context.output.output_reads.size() == 1);
  const task::OutputRead read = world.context.output.output_reads[0];
  CHECK(read.bytes_max == kPieceBytes);
  world.gateway.on_output_piece(world.now, {.request = read.request, .known = true, .bytes = "x"});
  REQUIRE(world.context.output.messages.size() == 1);
  CHECK(world.context.output.messages[0].channel == Channel::bulk);
  const auto& data = std::get<wire::OutputData>(world.context.output.messages[0].message);
  CHECK(data.piece.request == 44);
  CHECK(data.piece.bytes == "x");
}

TEST_CASE("log: a node with too many reads says so, and is asked again") {
  LogWorld busy;
  for (std::uint64_t i = 0; i <= kReadsMax; ++i) {
    busy.gateway.on_read_output(busy.now, busy.id(3),
                                {{.request = 100 + i, .attempt = {kTask, 1}}});
  }
  busy.settle();
  const auto answers = busy.messages<wire::OutputData>();
  REQUIRE(answers.size() == 1);
  wire::OutputData answer = answers[0].second;
  CHECK(answer.piece.request == 100 + kReadsMax);

  LogWorld world;
  world.open({.task = kTask}, task_at(TaskState::succeeded, 1, 3, 5));
  const auto reads = world.messages<wire::ReadOutput>();
  REQUIRE(reads.size() == 1);
  answer.piece.request = reads[0].second.read.request;
  world.gateway.on_output_data(world.now, world.id(3), answer);
  world.settle();
  CHECK(world.heard.empty());
  world.pass(100ms);
  world.piece("shoal", true);
  CHECK(world.data(0).bytes == "shoal");
  CHECK(world.heard.back().last);
}

}  // namespace shoal::node
