// One invocation of a command that talks to a cluster: its client, its loop, its way to print, and
// how errors become exit statuses.
//
// Standard output carries data only. Notes, progress and errors go to standard error; an error is
// JSON there when JSON was asked for.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/render.hpp"
#include "shoal/client.hpp"

namespace shoal::cli {

// The exit status that tells of an error of this kind.
int exit_code_of(ErrorCode code);

class Program {
 public:
  using Main = std::function<asio::awaitable<int>(Program&)>;

  explicit Program(const GlobalOptions& options);

  // Runs `main` to its end; the result is the exit status. Ctrl-C ends it with kExitInterrupted
  // unless on_interrupt() said otherwise.
  int run(const Main& main);

  asio::io_context& context() { return context_; }
  Client& client() { return client_; }
  const GlobalOptions& options() const { return options_; }
  const Style& out_style() const { return out_style_; }
  const Style& error_style() const { return error_style_; }
  bool json() const { return options_.output == "json" || options_.output == "jsonl"; }
  bool jsonl() const { return options_.output == "jsonl"; }
  bool wide() const { return options_.output == "wide"; }

  // Data, to standard output. A closed pipe ends the program quietly.
  void out(std::string_view text);
  void out_json(const Json& json);
  // One line for people, to standard error; not under --quiet.
  void note(std::string_view text);
  // Prints the error; the result is its exit status.
  int failed(const Error& error);

  // The exit status of an answer that lacks something, which is said in a note.
  int partial() const { return options_.strict ? kExitUnreachable : kExitGood; }

  // Asks before something that cannot be taken back; only `yes` will do. Without a terminal to ask
  // on, the error says to give --yes.
  asio::awaitable<Result<void>> confirm(std::string_view question);

  // Called at the first Ctrl-C in place of the default. A second one always ends the program.
  void on_interrupt(std::function<void()> handler) { interrupt_ = std::move(handler); }
  // Ends run() at once with this status.
  void finish(int exit_code);
  // Ends the program with kExitTimeout and the note when `time` has passed.
  void limit(std::chrono::milliseconds time, std::string text);

  void spawn(asio::awaitable<void> work);
  asio::awaitable<void> sleep(std::chrono::milliseconds time);
  // Names of all members; empty when nobody tells.
  asio::awaitable<NodeNames> node_names();

 private:
  void wait_for_signal();

  const GlobalOptions& options_;
  asio::io_context context_;
  Client client_;
  asio::signal_set signals_;
  asio::steady_timer limit_;
  Style out_style_;
  Style error_style_;
  std::function<void()> interrupt_;
  int exit_code_ = kExitFailed;
};

// The whole of a client command's callback: checks the global options, then runs `main`.
void run_client(GlobalOptions& options, const Program::Main& main);

// For commands without a client.
void print_error(const GlobalOptions& options, const Error& error, int exit_code);

// JOB, JOB[INDEX] or JOB.INDEX.
struct TaskSelector {
  std::string job;
  std::optional<std::uint32_t> index;
};
Result<TaskSelector> parse_selector(std::string_view text);

// "k7q2m" on a terminal, all thirteen characters in a pipe.
std::string shown_id(const Style& style, JobId id);

}  // namespace shoal::cli
