// `shoal logs`: a task's output, from whichever node ran it, while it runs or later.
#include <cstdio>
#include <memory>

#include "base/format.hpp"
#include "cli/consistency.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

struct LogsOptions {
  std::string selector;
  bool follow = false;
  bool out_only = false;
  bool error_only = false;
  bool tag = false;
  std::uint32_t attempt = 0;
};

struct Reading {
  std::shared_ptr<const LogsOptions> options;
  NodeNames names;
  int open = 0;  // Streams still being read.
  int code = kExitGood;
};

// Passes a stream on; with tags each line says whose it is, and is passed on when it is whole.
class TaggedWriter {
 public:
  TaggedWriter(std::shared_ptr<const Reading> reading, int stream, std::uint32_t index)
      : reading_(std::move(reading)), stream_(stream), index_(index) {}
  ~TaggedWriter() {
    if (!line_.empty()) line_ += '\n';
    flush_lines();
  }
  TaggedWriter(const TaggedWriter&) = delete;
  TaggedWriter& operator=(const TaggedWriter&) = delete;

  void write(NodeId node, std::string_view bytes) {
    if (!reading_->options->tag) {
      put(bytes);
      return;
    }
    if (node) node_ = node;
    line_ += bytes;
    flush_lines();
  }

 private:
  void put(std::string_view bytes) {
    std::FILE* file = stream_ == 0 ? stdout : stderr;
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fflush(file);
  }
  void flush_lines() {
    std::size_t end = 0;
    while ((end = line_.find('\n')) != std::string::npos) {
      put(format("[{} {} {}] ", index_, name_of(reading_->names, node_),
                 stream_ == 0 ? "out" : "err"));
      put(std::string_view(line_).substr(0, end + 1));
      line_.erase(0, end + 1);
    }
  }

  std::shared_ptr<const Reading> reading_;
  int stream_;
  std::uint32_t index_;
  NodeId node_;
  std::string line_;
};

asio::awaitable<void> read_stream(Program& program, std::shared_ptr<Reading> reading, TaskId task,
                                  int stream) {
  TaggedWriter writer(reading, stream, task.index);
  bool complete = true;
  const std::function<bool(const LogPiece&)> on_piece = [&](const LogPiece& piece) {
    if (!piece.note.empty() && stream == 0) program.note("shoal: " + piece.note);
    complete = piece.complete;
    writer.write(piece.node, piece.bytes);
    return true;
  };
  const auto read = co_await program.client().read_log(task, stream, reading->options->follow,
                                                       reading->options->attempt, on_piece);
  if (!read) {
    // Both streams fail alike: one sentence is enough.
    const int code = exit_code_of(read.error().code);
    if (reading->code == kExitGood) program.failed(read.error());
    reading->code = code;
  } else if (!complete && reading->code == kExitGood) {
    program.note(
        format("shoal: only the end of {}[{}]'s output was to be had: the node that ran it "
               "does not answer",
               short_text(task.job), task.index));
    reading->code = kExitUnreachable;
  }
  --reading->open;
}

asio::awaitable<void> read_task(Program& program, std::shared_ptr<Reading> reading, TaskId task) {
  for (int stream = 0; stream < 2; ++stream) {
    if (stream == 0 && reading->options->error_only) continue;
    if (stream == 1 && reading->options->out_only) continue;
    ++reading->open;
    if (reading->options->follow) {
      program.spawn(read_stream(program, reading, task, stream));
    } else {
      co_await read_stream(program, reading, task, stream);
    }
  }
  constexpr std::chrono::milliseconds kStep{20};
  while (reading->open > 0) co_await program.sleep(kStep);
}

// An array's tasks one after the other: with `follow` each when it has ended, in that order.
asio::awaitable<void> read_array(Program& program, std::shared_ptr<Reading> reading, JobId job) {
  if (!reading->options->follow) {
    const auto tasks = co_await program.client().tasks(job);
    if (!tasks) {
      reading->code = program.failed(tasks.error());
      co_return;
    }
    for (const TaskStatus& task : tasks->tasks) {
      if (task.attempt == 0) continue;
      co_await read_task(program, reading, {job, task.index});
    }
    if (!tasks->missing.empty()) {
      program.note(gap_text(tasks->missing));
      if (reading->code == kExitGood) reading->code = kExitUnreachable;
    }
    co_return;
  }
  const Client::OnUpdate on_update = [&](const std::vector<TaskUpdate>& updates, const JobStatus*) {
    for (const TaskUpdate& update : updates) {
      if (!update.tails) continue;
      for (int stream = 0; stream < 2; ++stream) {
        const bool hidden = stream == 0 ? reading->options->error_only : reading->options->out_only;
        if (hidden) continue;
        TaggedWriter writer(reading, stream, update.status.index);
        const std::string& tail = (*update.tails)[static_cast<std::size_t>(stream)];
        writer.write(update.status.node, tail);
      }
    }
    return true;
  };
  const WatchOptions watching{.tasks = true, .with_output = true};
  const auto ended = co_await program.client().watch(job, watching, on_update);
  if (!ended) reading->code = program.failed(ended.error());
}

asio::awaitable<int> logs(Program& program, std::shared_ptr<const LogsOptions> options) {
  const auto selector = parse_selector(options->selector);
  if (!selector) co_return program.failed(selector.error());
  const auto id = co_await program.client().resolve(selector->job);
  if (!id) co_return program.failed(id.error());
  const auto reading = std::make_shared<Reading>();
  reading->options = options;
  if (options->tag) reading->names = co_await program.node_names();
  if (selector->index) {
    co_await read_task(program, reading, {*id, *selector->index});
    co_return reading->code;
  }
  const auto job = co_await program.client().job(*id);
  if (!job) co_return program.failed(job.error());
  if (job->single || job->status.count <= 1) {
    co_await read_task(program, reading, {*id, 0});
  } else {
    co_await read_array(program, reading, *id);
  }
  co_return reading->code;
}

}  // namespace

void add_logs(CLI::App& app, GlobalOptions& globals) {
  auto options = std::make_shared<LogsOptions>();
  auto* command = app.add_subcommand("logs", "A task's output, from any node");
  command->add_option("job", options->selector, "JOB, JOB[INDEX] or JOB.INDEX")->required();
  command->add_flag("-f,--follow", options->follow,
                    "Go on until the end; of an array, each task's last 16 KiB as it ends");
  auto* out = command->add_flag("--stdout", options->out_only, "Only standard output");
  command->add_flag("--stderr", options->error_only, "Only standard error")->excludes(out);
  command->add_option("--attempt", options->attempt, "This attempt, not the latest one");
  command->add_flag("--tag", options->tag, "Before each line: task, node and stream");
  command->callback([options, &globals] {
    run_client(globals, [options](Program& program) { return logs(program, options); });
  });
}

}  // namespace shoal::cli
