// Whole commands against a node that is not there: what they ask, write and exit with.
#include <doctest/doctest.h>

#include <algorithm>
#include <asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "../client/fake_node.hpp"
#include "harness.hpp"

namespace shoal::cli {
namespace {

using client::FakeNode;
using client::World;

constexpr std::size_t kLongBytes = 100'000;

std::string long_output() {
  std::string text;
  for (std::size_t i = 0; text.size() < kLongBytes; ++i) text += std::to_string(i) + "\n";
  text.resize(kLongBytes);
  return text;
}

// A cluster that has run everything the moment it is handed in. Task N prints "out ARGUMENT", task
// 5 a long text; an argument "fail" fails.
class Cluster {
 public:
  Cluster() : node_(FakeNode::start(context_, world_)) {
    world_.hook = [this](std::uint16_t, const wire::ClientRequestBody& body,
                         const World::Send& send) { return on_request(body, send); };
    thread_ = std::thread([this] {
      const auto work = asio::make_work_guard(context_);
      context_.run();
    });
  }
  ~Cluster() {
    context_.stop();
    thread_.join();
  }
  std::string address() const { return node_->address(); }
  std::uint32_t log_reads = 0;  // Read after the command has ended.
  std::uint32_t cancels = 0;

 private:
  bool on_request(const wire::ClientRequestBody& body, const World::Send& send) {
    if (const auto* watch = std::get_if<wire::WatchJob>(&body)) {
      watch_ = send;
      job_ = watch->job;
      tell();
      return true;
    }
    if (const auto* create = std::get_if<wire::CreateJob>(&body)) {
      if (create->single) {
        client::FakeJob& job = world_.jobs[create->job];
        job.created = *create;
        job.elements.emplace(0, create->spec.argv.back());
        job.closed = true;
        send(wire::Done{.copies = 3}, true);
        return true;
      }
    }
    if (const auto* close = std::get_if<wire::CloseJob>(&body)) {
      world_.jobs[close->job].closed = true;
      send(wire::Done{.copies = 3}, true);
      tell();
      return true;
    }
    if (std::holds_alternative<wire::CancelRequest>(body)) {
      ++cancels;
      send(wire::Done{}, true);
      return true;
    }
    if (const auto* read = std::get_if<wire::ReadLog>(&body)) {
      ++log_reads;
      const std::string text = read->stream == task::Stream::out ? long_output() : "";
      for (std::size_t at = read->offset; at < text.size(); at += 65536) {
        send(
            wire::LogData{
                .attempt = {read->task, 1}, .offset = at, .bytes = text.substr(at, 65536)},
            false);
      }
      send(wire::LogData{.attempt = {read->task, 1}, .offset = text.size()}, true);
      return true;
    }
    return false;
  }

  wire::TaskEvent event_of(std::uint32_t index, const std::string& argument) const {
    const bool fails = argument == "fail";
    std::string out = index == 5 ? long_output() : "out " + argument + "\n";
    wire::TaskEvent event{.has_tails = true};
    event.status = {.index = index, .state = TaskState::succeeded, .attempt = 1};
    event.status.argument = argument;
    event.status.node = {.high = 1, .low = node_->port()};
    event.status.result = AttemptResult{.exit_status = fails ? 3 : 0};
    event.status.result->output_bytes = {out.size(), 0};
    if (fails) event.status.state = TaskState::failed;
    event.tails[0] = out.substr(out.size() - std::min(out.size(), kOutputTailBytes));
    return event;
  }

  void tell() {
    const auto found = world_.jobs.find(job_);
    if (!watch_ || found == world_.jobs.end() || !found->second.closed) return;
    const auto& elements = found->second.elements;
    JobStatus job{.id = job_, .state = JobState::finished};
    job.count = job.counts.total = static_cast<std::uint32_t>(elements.size());
    wire::WatchEvent event;
    // Backwards: nobody promised an order.
    for (auto at = elements.rbegin(); at != elements.rend(); ++at) {
      event.tasks.push_back(event_of(at->first, at->second));
      const bool good = event.tasks.back().status.state == TaskState::succeeded;
      ++(good ? job.counts.succeeded : job.counts.failed);
      if (event.tasks.size() == 200) watch_(std::exchange(event, {}), false);
    }
    event.job = job;
    watch_(std::move(event), true);
  }

  asio::io_context context_{1};
  World world_;
  std::shared_ptr<FakeNode> node_;
  std::thread thread_;
  World::Send watch_;
  JobId job_;
};

std::size_t count_lines(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace

TEST_CASE("map: each task's output is one file, the index and the job log have a line each") {
  Cluster cluster;
  const Folder folder;
  {
    std::ofstream inputs(folder.path + "/inputs");
    for (int i = 0; i < 20'000; ++i)
      inputs << (i == 77 || i == 78 ? "fail" : std::to_string(i)) << '\n';
  }
  const int code = shoal(folder, cluster.address(),
                         {"map", "-a", folder.path + "/inputs", "--results", folder.path + "/r",
                          "--joblog", folder.path + "/log", "--", "echo", "x{}"});
  CHECK(code == 2);
  CHECK(folder.read("r/19999.out") == "out 19999\n");
  CHECK(folder.read("r/0.err").empty());
  CHECK(std::filesystem::exists(folder.path + "/r/0.err"));
  CHECK(folder.read("r/5.out") == long_output());  // Not only its tail.
  CHECK(count_lines(folder.read("r/index.tsv")) == 20'000);
  CHECK(folder.read("r/index.tsv").find("\n77\t3\tfailed\tn1\tfail\n") != std::string::npos);
  const std::string log = folder.read("log");
  CHECK(count_lines(log) == 20'001);
  CHECK(log.find("\techo x123\n") != std::string::npos);
  CHECK(folder.read("stdout").empty());
  CHECK(folder.read("stderr").find("20000 tasks: 19998 ok, 2 failed") != std::string::npos);
  CHECK(cluster.log_reads > 0);
}

TEST_CASE("map: with -k output comes in the order of the inputs, long ones in their place") {
  Cluster cluster;
  const Folder folder;
  Words words{"map", "-k", "-q", "echo", ":::"};
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    words.push_back(std::to_string(i));
    expected += i == 5 ? long_output() : "out " + std::to_string(i) + "\n";
  }
  CHECK(shoal(folder, cluster.address(), words) == 0);
  CHECK(folder.read("stdout") == expected);
  CHECK(folder.read("stderr").empty());
}

TEST_CASE("map: without -k each output is whole, and --halt now ends the job") {
  Cluster cluster;
  const Folder folder;
  Words words{"map", "--halt", "now,fail=1", "echo", ":::", "fail"};
  for (int i = 1; i < 50; ++i) words.push_back(std::to_string(i));
  CHECK(shoal(folder, cluster.address(), words) == 1);
  CHECK(folder.read("stdout").find(long_output()) != std::string::npos);
  CHECK(folder.read("stdout").size() > kLongBytes + 48 * 6);
  CHECK(folder.read("stderr").find("ending all") != std::string::npos);
}

TEST_CASE("map: bad command lines are refused before anything is handed in") {
  const Folder folder;
  const std::string nobody = "127.0.0.1:1";
  CHECK(shoal(folder, nobody, {"map", ":::", "a"}) == kExitUsage);
  CHECK(shoal(folder, nobody, {"map", "--halt", "often", "echo", ":::", "a"}) == kExitUsage);
  CHECK(shoal(folder, nobody, {"map", "echo", "{1}", ":::", "a", ":::", "b"}) == kExitUsage);
  CHECK(shoal(folder, nobody, {"map", "-a", "/no/such/file", "echo"}) == kExitUsage);
  CHECK(shoal(folder, nobody, {"map", "echo", ":::"}) == kExitGood);  // No inputs, no tasks.
  CHECK(shoal(folder, nobody, {"map", "echo", ":::", "a"}) == kExitUnreachable);
}

TEST_CASE("run: the command's output and status come through") {
  Cluster cluster;
  const Folder folder;
  CHECK(shoal(folder, cluster.address(), {"run", "--", "echo", "hi"}) == 0);
  CHECK(folder.read("stdout") == "out hi\n");
  CHECK(folder.read("stderr").empty());
  CHECK(shoal(folder, cluster.address(), {"run", "--", "echo", "fail"}) == 3);
  CHECK(folder.read("stderr").find("failed on n1: exit 3 (attempt 1 of 1") != std::string::npos);
  CHECK(shoal(folder, "127.0.0.1:1", {"run", "--", "true"}) == kExitNotStarted);
  CHECK(folder.read("stderr").find("127.0.0.1:1 (Connection refused)") != std::string::npos);
}

TEST_CASE("submit: in a pipe the whole id stands on standard output and nothing else") {
  Cluster cluster;
  const Folder folder;
  CHECK(shoal(folder, cluster.address(), {"submit", "--", "true"}) == 0);
  CHECK(folder.read("stdout").size() == 14);
  CHECK(folder.read("stderr").empty());
  CHECK(shoal(folder, cluster.address(), {"submit", "--array", "1-3", "--wait", "--", "x"}) == 0);
  CHECK(shoal(folder, "127.0.0.1:1", {"submit", "--json", "--", "true"}) == kExitUnreachable);
  CHECK(folder.read("stdout").empty());
  CHECK(folder.read("stderr").starts_with("{\"schema\":\"shoal.error/1\""));
}

}  // namespace shoal::cli
