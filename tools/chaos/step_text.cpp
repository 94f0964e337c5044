// Steps as text for people and as JSON for the journal.
#include <csignal>

#include "tools/chaos/step.hpp"

namespace shoal::chaos {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::string pid_text(const ProcessId& process) {
  return process ? std::to_string(process.pid) : "PID";
}

Json json_of(const ProcessId& process) { return {{"pid", process.pid}, {"start", process.start}}; }

ProcessId process_of(const Json& json) {
  const Json inner = field(json, "process", Json::object());
  return {.pid = field(inner, "pid", pid_t{0}), .start = field(inner, "start", std::uint64_t{0})};
}

std::vector<std::string> strings_of(const Json& json, const char* name) {
  std::vector<std::string> all;
  for (const Json& each : field(json, name, Json::array())) {
    if (each.is_string()) all.push_back(each.get<std::string>());
  }
  return all;
}

Ms ms_of(const Json& json, const char* name) { return Ms(field(json, name, std::int64_t{0})); }

RunProgram run_program_of(const Json& json) {
  RunProgram run{.words = strings_of(json, "words"), .good = {}, .limit = ms_of(json, "limit_ms")};
  for (const Json& each : field(json, "good", Json::array())) {
    if (each.is_number_integer()) run.good.push_back(each.get<int>());
  }
  return run;
}

Result<Step> unchecked_step_of(const std::string& kind, const Json& json) {
  const auto word = [&json](const char* name) { return field(json, name, std::string()); };
  if (kind == "signal") {
    return SendSignal{process_of(json), field(json, "signal", 0), word("who")};
  }
  if (kind == "signal_tree") {
    return SignalTree{process_of(json), field(json, "signal", 0), word("who")};
  }
  if (kind == "await_end") return AwaitEnd{process_of(json), ms_of(json, "limit_ms"), word("who")};
  if (kind == "wait") return Wait{ms_of(json, "ms")};
  if (kind == "run") return run_program_of(json);
  if (kind == "start") {
    return StartProgram{strings_of(json, "words"), word("log")};
  }
  if (kind == "end_marked") return EndMarked{word("mark"), ms_of(json, "grace_ms")};
  if (kind == "start_node") {
    return StartNode{word("shoal"), word("folder"), word("name")};
  }
  if (kind == "start_recorded") {
    return StartRecorded{strings_of(json, "words"), word("log"), word("record")};
  }
  if (kind == "remove") return Remove{word("path"), field(json, "all", false)};
  if (kind == "fill") return FillDisk{word("path"), field(json, "leave", std::uint64_t{0})};
  return fail(ErrorCode::bad_input,
              text("the journal names a step '", kind, "' that this version does not know"));
}

}  // namespace

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? name : std::to_string(number);
}

std::string text_of(const Step& step) {
  return std::visit(
      Overloaded{
          [](const SendSignal& is) {
            return text("kill -", signal_name(is.signal), " ", pid_text(is.process), "  # ",
                        is.who);
          },
          [](const SignalTree& is) {
            return text("kill -", signal_name(is.signal), " $(descendants of ", pid_text(is.root),
                        ")  # ", is.who);
          },
          [](const AwaitEnd& is) {
            return text("timeout ", duration_text(is.limit), " tail --pid=", pid_text(is.process),
                        " -f /dev/null  # ", is.who);
          },
          [](const Wait& is) { return text("sleep ", duration_text(is.time)); },
          [](const RunProgram& is) { return shell_line(is.words); },
          [](const StartProgram& is) {
            return text(shell_line(is.words), " >>", shell_word(is.log), " 2>&1 &");
          },
          [](const EndMarked& is) {
            const std::string gently = is.grace > Ms(0)
                                           ? text("pkill -TERM -f ", shell_word(is.mark),
                                                  "; sleep ", duration_text(is.grace), "; ")
                                           : std::string();
            return text(gently, "pkill -KILL -f ", shell_word(is.mark));
          },
          [](const StartNode& is) {
            return shell_line(
                std::vector<std::string>{is.shoal, "dev", "start", is.name, "--dir", is.folder});
          },
          [](const StartRecorded& is) {
            return text(shell_line(is.words), " >>", shell_word(is.log), " 2>&1 & echo $! >",
                        shell_word(is.record));
          },
          [](const Remove& is) { return text(is.all ? "rm -rf " : "rm -f ", shell_word(is.path)); },
          [](const FillDisk& is) {
            return text("fallocate -l $(free bytes - ", is.leave, ") ", shell_word(is.path));
          },
      },
      step);
}

std::vector<std::string> texts_of(const Steps& steps) {
  std::vector<std::string> texts;
  for (const Step& step : steps) texts.push_back(text_of(step));
  return texts;
}

Json json_of(const Step& step) {
  return std::visit(
      Overloaded{
          [](const SendSignal& is) {
            return Json{{"do", "signal"},
                        {"process", json_of(is.process)},
                        {"signal", is.signal},
                        {"who", is.who}};
          },
          [](const SignalTree& is) {
            return Json{{"do", "signal_tree"},
                        {"process", json_of(is.root)},
                        {"signal", is.signal},
                        {"who", is.who}};
          },
          [](const AwaitEnd& is) {
            return Json{{"do", "await_end"},
                        {"process", json_of(is.process)},
                        {"limit_ms", is.limit.count()},
                        {"who", is.who}};
          },
          [](const Wait& is) { return Json{{"do", "wait"}, {"ms", is.time.count()}}; },
          [](const RunProgram& is) {
            return Json{{"do", "run"},
                        {"words", is.words},
                        {"good", is.good},
                        {"limit_ms", is.limit.count()}};
          },
          [](const StartProgram& is) {
            return Json{{"do", "start"}, {"words", is.words}, {"log", is.log}};
          },
          [](const EndMarked& is) {
            return Json{{"do", "end_marked"}, {"mark", is.mark}, {"grace_ms", is.grace.count()}};
          },
          [](const StartNode& is) {
            return Json{{"do", "start_node"},
                        {"shoal", is.shoal},
                        {"folder", is.folder},
                        {"name", is.name}};
          },
          [](const StartRecorded& is) {
            return Json{{"do", "start_recorded"},
                        {"words", is.words},
                        {"log", is.log},
                        {"record", is.record}};
          },
          [](const Remove& is) {
            return Json{{"do", "remove"}, {"path", is.path}, {"all", is.all}};
          },
          [](const FillDisk& is) {
            return Json{{"do", "fill"}, {"path", is.path}, {"leave", is.leave}};
          },
      },
      step);
}

Json json_of(const Steps& steps) {
  Json list = Json::array();
  for (const Step& step : steps) list.push_back(json_of(step));
  return list;
}

Result<Step> step_of(const Json& json) {
  return unchecked_step_of(field(json, "do", std::string()), json);
}

Result<Steps> steps_of(const Json& json) {
  Steps steps;
  if (!json.is_array()) return fail(ErrorCode::bad_input, "the journal holds no list of steps");
  for (const Json& each : json) {
    auto step = step_of(each);
    if (!step) return std::unexpected(step.error());
    steps.push_back(std::move(*step));
  }
  return steps;
}

}  // namespace shoal::chaos
