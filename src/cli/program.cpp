#include "cli/program.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/address.hpp"
#include "base/format.hpp"
#include "base/units.hpp"

namespace shoal::cli {
namespace {

constexpr auto kTuple = asio::experimental::as_tuple(asio::use_awaitable);

ClientOptions client_options(const GlobalOptions& options) {
  ClientOptions made{.addresses = options.addresses};
  if (options.timeout.empty()) return made;
  if (const auto time = parse_duration(options.timeout)) {
    made.timeout = std::max(*time, std::chrono::milliseconds(1));
    made.connect_timeout = std::min(made.connect_timeout, made.timeout);
  }
  return made;
}

// The loop stops in the very step in which `main` ends: nothing that was spawned on the side and
// refers to what stood in its frame runs after it.
asio::awaitable<void> run_to_end(const Program::Main& main, Program& program) {
  const int code = co_await main(program);
  program.finish(code);
}

}  // namespace

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_input:
      return kExitUsage;
    case ErrorCode::not_found:
    case ErrorCode::expired:
      return kExitNotFound;
    case ErrorCode::unavailable:
    case ErrorCode::overload:
      return kExitUnreachable;
    case ErrorCode::refused:
      return kExitRefused;
    case ErrorCode::conflict:
      return kExitConflict;
    case ErrorCode::timeout:
      return kExitTimeout;
    case ErrorCode::io:
    case ErrorCode::internal:
      return kExitFailed;
  }
  return kExitFailed;
}

Program::Program(const GlobalOptions& options)
    : options_(options),
      context_(1),
      client_(context_, client_options(options)),
      signals_(context_, SIGINT, SIGTERM),
      limit_(context_),
      out_style_(style_of(STDOUT_FILENO, options.color)),
      error_style_(style_of(STDERR_FILENO, options.color)) {}

int Program::run(const Main& main) {
  wait_for_signal();
  asio::co_spawn(context_, run_to_end(main, *this), [this](std::exception_ptr error) {
    if (!error) return;
    finish(failed({ErrorCode::internal, "an input/output call failed unexpectedly"}));
  });
  context_.run();
  std::fflush(stdout);
  return exit_code_;
}

void Program::finish(int exit_code) {
  if (context_.stopped()) return;
  exit_code_ = exit_code;
  context_.stop();
}

void Program::wait_for_signal() {
  signals_.async_wait([this](asio::error_code error, int) {
    if (error) return;
    if (const auto handler = std::exchange(interrupt_, nullptr)) {
      wait_for_signal();
      handler();
    } else {
      finish(kExitInterrupted);
    }
  });
}

void Program::limit(std::chrono::milliseconds time, std::string text) {
  limit_.expires_after(time);
  limit_.async_wait([this, text = std::move(text)](asio::error_code error) {
    if (error) return;
    note(text);
    finish(kExitTimeout);
  });
}

void Program::out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) finish(kExitFailed);
}

void Program::out_json(const Json& json) {
  out(text_of(json, jsonl() ? -1 : 2));
  out("\n");
}

void Program::note(std::string_view text) {
  if (options_.quiet) return;
  std::fflush(stdout);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

int Program::failed(const Error& error) {
  std::fflush(stdout);
  const int code = exit_code_of(error.code);
  print_error(options_, error, code);
  return code;
}

// The terminal is looked at now and then: a read that waits would keep Ctrl-C waiting too.
asio::awaitable<Result<void>> Program::confirm(std::string_view question) {
  constexpr std::chrono::milliseconds kStep{50};
  if (isatty(STDIN_FILENO) != 1) {
    co_return fail(ErrorCode::bad_input,
                   format("this asks first, and there is no terminal to ask on: {}. Give --yes if "
                          "that is what you want",
                          question));
  }
  std::fflush(stdout);
  std::fprintf(stderr, "%.*s? Type yes: ", static_cast<int>(question.size()), question.data());
  std::fflush(stderr);
  pollfd waiting{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  while (poll(&waiting, 1, 0) == 0) co_await sleep(kStep);
  std::array<char, 64> line{};
  const ssize_t count = read(STDIN_FILENO, line.data(), line.size());
  std::string_view answer(line.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  while (answer.ends_with('\n') || answer.ends_with(' ')) answer.remove_suffix(1);
  if (answer == "yes") co_return Result<void>{};
  co_return fail(ErrorCode::refused, "nothing was done, since the answer was not yes");
}

void Program::spawn(asio::awaitable<void> work) {
  asio::co_spawn(context_, std::move(work), asio::detached);
}

asio::awaitable<void> Program::sleep(std::chrono::milliseconds time) {
  asio::steady_timer timer(context_, time);
  co_await timer.async_wait(kTuple);
}

asio::awaitable<NodeNames> Program::node_names() {
  const auto view = co_await client_.members(false);
  if (!view) co_return NodeNames{};
  co_return names_of(*view);
}

void print_error(const GlobalOptions& options, const Error& error, int exit_code) {
  if (options.output == "json" || options.output == "jsonl") {
    std::fprintf(stderr, "%s\n", text_of(json_of(error, exit_code)).c_str());
  } else {
    std::fprintf(stderr, "shoal: %s\n", error.message.c_str());
  }
}

void run_client(GlobalOptions& options, const Program::Main& main) {
  std::signal(SIGPIPE, SIG_IGN);  // A closed pipe is an error of the write.
  if (!options.timeout.empty()) {
    const auto time = parse_duration(options.timeout);
    if (!time) {
      print_error(options, {time.error().code, "--timeout: " + time.error().message}, kExitUsage);
      options.exit_code = kExitUsage;
      return;
    }
  }
  for (const std::string& address : options.addresses) {
    const auto parsed = parse_host_port(address);
    if (parsed) continue;
    print_error(options, {parsed.error().code, "--addr: " + parsed.error().message}, kExitUsage);
    options.exit_code = kExitUsage;
    return;
  }
  Program program(options);
  options.exit_code = program.run(main);
}

Result<TaskSelector> parse_selector(std::string_view text) {
  TaskSelector selector;
  std::string_view number;
  if (text.ends_with(']')) {
    const std::size_t bracket = text.find('[');
    if (bracket == std::string_view::npos) {
      return fail(ErrorCode::bad_input, format("\"{}\" is no task: write JOB[INDEX]", text));
    }
    selector.job = text.substr(0, bracket);
    number = text.substr(bracket + 1, text.size() - bracket - 2);
  } else if (const std::size_t point = text.rfind('.'); point != std::string_view::npos) {
    selector.job = text.substr(0, point);
    number = text.substr(point + 1);
  } else {
    selector.job = text;
    return selector;
  }
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
  if (number.empty() || error != std::errc{} || end != number.data() + number.size()) {
    // A job's name may hold a point.
    if (!text.ends_with(']')) return TaskSelector{.job = std::string(text)};
    return fail(ErrorCode::bad_input,
                format("\"{}\" is no task number: write JOB[INDEX], counted from 0", number));
  }
  selector.index = index;
  return selector;
}

std::string shown_id(const Style& style, JobId id) {
  return style.terminal ? short_text(id) : to_string(id);
}

}  // namespace shoal::cli
