// shoal-chaos: hurts a cluster while real work runs, and says whether a promise was broken.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <cstdio>
#include <functional>
#include <memory>

#include "tools/chaos/burn.hpp"
#include "tools/chaos/commands.hpp"
#include "tools/chaos/compare.hpp"
#include "tools/chaos/heal.hpp"
#include "tools/chaos/process.hpp"
#include "tools/chaos/relay.hpp"
#include "tools/chaos/run.hpp"

namespace shoal::chaos {
namespace {

struct Flags {
  CommandOptions command;
  RunOptions run;
  std::string seed;
  std::string against;
  std::string folder = "/var/tmp";
  std::string shoal;
  std::string what;
  std::string target;
  std::string lasting;
  std::string every;
  std::string scope;
  std::string length;
  std::string report_folder;
  std::string other_folder;
  std::string html = "compare.html";
  bool all = false;
  std::vector<std::string> parameters;  // NAME=VALUE, from the command's own options.
  int exit_code = kExitGood;
};

int bad_usage(const std::string& message) { return failed({ErrorCode::bad_input, message}); }

// Absent, and told, when it does not parse; `to` stays when `words` is empty.
bool take_duration(const std::string& name, const std::string& words, std::optional<Ms>& to) {
  if (words.empty()) return true;
  const auto parsed = parse_duration(words);
  if (parsed) to = *parsed;
  if (!parsed) bad_usage(text(name, ": ", parsed.error().message));
  return parsed.has_value();
}

bool take_seed(const std::string& words, std::optional<std::uint64_t>& to) {
  if (words.empty()) return true;
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), seed);
  if (error == std::errc() && end == words.data() + words.size()) {
    to = seed;
    return true;
  }
  bad_usage(text("--seed: '", words, "' is no whole number"));
  return false;
}

// A fault from a command line.
Result<Fault> fault_of(FaultKind kind, const Flags& flags) {
  const FaultRule& rule = rule_of(kind);
  Fault fault{.kind = kind};
  if (rule.targeted) {
    auto target = parse_target(flags.target);
    if (!target) return std::unexpected(target.error());
    fault.target = *std::move(target);
  }
  for (const std::string& each : flags.parameters) {
    const std::size_t equals = each.find('=');
    const std::string name = each.substr(0, equals);
    const auto parameter = std::ranges::find(rule.parameters, name, &ParameterRule::name);
    if (parameter == rule.parameters.end()) {
      return fail(ErrorCode::bad_input, text("a fault '", rule.name, "' has no ", name));
    }
    auto value = parse_value(*parameter, each.substr(equals + 1));
    if (!value) return std::unexpected(value.error());
    fault.parameters[name] = *std::move(value);
  }
  if (const auto missing = what_is_missing(fault)) return fail(ErrorCode::bad_input, *missing);
  return fault;
}

int do_break(FaultKind kind, Flags& flags) {
  std::optional<Ms> every;
  auto fault = fault_of(kind, flags);
  if (!fault) return failed(fault.error());
  if (!take_duration("--for", flags.lasting, fault->duration) ||
      !take_duration("--every", flags.every, every) || !take_seed(flags.seed, flags.command.seed)) {
    return kExitUsage;
  }
  return break_once(flags.command, *fault, every);
}

void add_where(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  app.add_option(
      "--against", flags->against,
      "local, netns, relay or compose (containers); local:DIR for the cluster in a folder of "
      "`shoal dev`, compose:PROJECT for one of docker-compose that runs");
  app.add_option("--shoal", flags->shoal, "The shoal program (default: the one beside this)");
  app.add_option("--dir", flags->folder, "Where clusters of its own keep their data")
      ->capture_default_str();
  app.add_option("--seed", flags->seed, "Everything that is drawn follows from it");
  app.add_flag("--dry-run", flags->command.dry_run, "Print what would be done");
}

void settle_where(Flags& flags) {
  if (flags.shoal.empty()) flags.shoal = (this_program().parent_path() / "shoal").string();
  flags.command.shoal = flags.run.shoal = flags.shoal;
  flags.command.folder = flags.run.folder = flags.folder;
  flags.run.dry_run = flags.command.dry_run;
  flags.run.against = flags.against;
  if (!flags.against.empty()) flags.command.against = flags.against;
}

// What runs when a command was given.
using Action = std::function<int(Flags&)>;

CLI::App* add(CLI::App& app, const std::shared_ptr<Flags>& flags, const char* name,
              const char* help, Action action) {
  CLI::App* command = app.add_subcommand(name, help);
  command->callback([flags, action = std::move(action)] {
    settle_where(*flags);
    flags->exit_code = action(*flags);
  });
  return command;
}

// An option of the command line that is a parameter of the fault.
void add_parameter(CLI::App& command, const std::shared_ptr<Flags>& flags, const char* option,
                   const std::string& parameter, const char* help) {
  command.add_option_function<std::string>(
      option,
      [flags, parameter](const std::string& words) {
        flags->parameters.push_back(text(parameter, "=", words));
      },
      help);
}

CLI::App* add_fault(CLI::App& app, const std::shared_ptr<Flags>& flags, const char* name,
                    const char* help, std::function<FaultKind(const Flags&)> kind) {
  CLI::App* command =
      add(app, flags, name, help, [kind](Flags& given) { return do_break(kind(given), given); });
  add_where(*command, flags);
  command->add_option("target", flags->target, "n2, n[1-3], any, half, minority, busiest, ...")
      ->required();
  command->add_option("--for", flags->lasting, "Heals it after that time and then returns");
  command->add_option("--every", flags->every, "Again after that time, until it is interrupted");
  return command;
}

void add_processes(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  const auto plain = [&](const char* name, FaultKind kind) {
    return add_fault(app, flags, name, rule_of(kind).help.data(),
                     [kind](const Flags&) { return kind; });
  };
  for (const auto& [name, kind] :
       {std::pair{"kill", FaultKind::kill}, {"pause", FaultKind::pause}}) {
    plain(name, kind)
        ->add_flag_callback(
            "--host", [flags] { flags->parameters.push_back("scope=host"); },
            "Its supervisors and tasks too, as when the host goes");
  }
  plain("restart", FaultKind::restart);
  plain("stop", FaultKind::stop);
  add_parameter(*plain("cpu", FaultKind::cpu), flags, "--burn", "burn", "How many busy threads");
  add_parameter(*plain("mem", FaultKind::mem), flags, "--burn", "burn", "How much, such as 2GiB");
}

// Any fault of the catalogue, as a scenario would name it.
void add_inject(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  CLI::App* command =
      add(app, flags, "inject", "Any fault by its name; see list-faults", [](Flags& given) {
        const FaultRule* rule = find_rule(given.what);
        if (rule != nullptr) return do_break(rule->kind, given);
        return bad_usage(
            text("there is no fault '", given.what, "'.", suggestion(given.what, fault_names())));
      });
  add_where(*command, flags);
  command->add_option("fault", flags->what, "Such as disk.full, upgrade or join")->required();
  command->add_option("target", flags->target, "n2, n[1-3], any, half; none for join");
  command->add_option("--with", flags->parameters, "NAME=VALUE, such as scope=host")->take_all();
  command->add_option("--for", flags->lasting, "Heals it after that time and then returns");
  command->add_option("--every", flags->every, "Again after that time, until it is interrupted");
}

// Options that are parameters of network faults.
void add_network_parameters(CLI::App& command, const std::shared_ptr<Flags>& flags,
                            const FaultRule& rule) {
  for (const ParameterRule& each : rule.parameters) {
    if (each.name == "draw") continue;
    add_parameter(command, flags, text("--", each.name).c_str(), std::string(each.name),
                  each.help.data());
  }
}

void add_network(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  const FaultRule& cut = rule_of(FaultKind::partition);
  CLI::App* partition = add_fault(app, flags, "partition", cut.help.data(),
                                  [](const Flags&) { return FaultKind::partition; });
  add_network_parameters(*partition, flags, cut);
  CLI::App* net = app.add_subcommand("net", "Hurts what nodes send each other");
  net->require_subcommand(1);
  constexpr std::string_view kNet = "net.";
  for (const FaultRule& rule : catalogue()) {
    if (!rule.name.starts_with(kNet)) continue;
    const std::string name(rule.name.substr(kNet.size()));
    CLI::App* command = add_fault(*net, flags, name.c_str(), rule.help.data(),
                                  [kind = rule.kind](const Flags&) { return kind; });
    add_network_parameters(*command, flags, rule);
  }
}

void add_disk(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  CLI::App* disk =
      add_fault(app, flags, "disk", "Fills the disk of nodes, slows it or makes it read-only",
                [](const Flags& given) {
                  return given.what.empty() ? FaultKind::disk_full : find_rule(given.what)->kind;
                });
  disk->add_option_function<std::string>(
      "--slow",
      [flags](const std::string& sync) {
        flags->what = "disk.slow";
        flags->parameters.push_back("sync=" + sync);
      },
      "Each sync takes so much longer, such as 200ms");
  disk->add_flag_callback(
      "--read-only", [flags] { flags->what = "disk.read_only"; }, "It takes no write");
  add_parameter(*disk, flags, "--fill", "fill", "That part of the free space (default: 100%)");
}

void add_clock(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  const FaultRule& rule = rule_of(FaultKind::clock);
  CLI::App* clock = add_fault(app, flags, "clock", rule.help.data(),
                              [](const Flags&) { return FaultKind::clock; });
  for (const ParameterRule& each : rule.parameters) {
    add_parameter(*clock, flags, text("--", each.name).c_str(), std::string(each.name),
                  each.help.data());
  }
}

void add_run(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  CLI::App* command =
      add(app, flags, "run", "Play a scenario and judge what happened", [](Flags& given) {
        if (!take_duration("--duration", given.length, given.run.duration) ||
            !take_seed(given.seed, given.run.seed)) {
          return kExitUsage;
        }
        return run(given.run);
      });
  add_where(*command, flags);
  command->add_option("scenario", flags->run.scenario, "A file, or the name of a shipped one")
      ->required();
  command->add_option("--duration", flags->length,
                      "Another length; the load keeps its pace, later faults are left out");
  command->add_option("--out", flags->run.out, "The report's folder (default: chaos-out/...)");
  command->add_option("--set", flags->run.sets, "KEY=VALUE of the scenario, such as load.tasks=100")
      ->take_all();
  command->add_option("--junit", flags->run.junit, "The verdicts as JUnit XML");
}

void add_looking(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  add(app, flags, "heal", "Mend whatever is still broken", [](Flags& given) {
    return heal_all(given.all);
  })->add_flag("--all", flags->all, "Also what a running command would mend itself");
  for (const auto& [name, help, action] :
       {std::tuple{"status", "Nodes, and what is broken", &status},
        {"list-faults", "What can be broken, and where not", &list_faults}}) {
    CLI::App* command =
        add(app, flags, name, help, [action](Flags& given) { return action(given.command); });
    add_where(*command, flags);
    if (action == &status) command->add_flag("--json", flags->command.json, "As JSON");
  }
  CLI::App* checking = add(app, flags, "check", "Judge a recorded run again", [](Flags& given) {
    return check(given.report_folder, given.run.junit);
  });
  checking->add_option("folder", flags->report_folder, "A run's report folder")->required();
  checking->add_option("--junit", flags->run.junit, "The verdicts as JUnit XML");
  CLI::App* again = add(app, flags, "replay", "Do again what a run drew", [](Flags& given) {
    given.run.scenario = given.report_folder + "/replay.toml";
    return run(given.run);
  });
  add_where(*again, flags);
  again->add_option("folder", flags->report_folder, "A run's report folder")->required();
  again->add_option("--out", flags->run.out, "The new report's folder");
  again->add_option("--junit", flags->run.junit, "The verdicts as JUnit XML");
}

void add_compare(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  CLI::App* command = add(app, flags, "compare", "Two runs side by side", [](Flags& given) {
    return compare(given.report_folder, given.other_folder, given.html);
  });
  command->add_option("a", flags->report_folder, "A run's report folder")->required();
  command->add_option("b", flags->other_folder, "Another's")->required();
  command->add_option("--html", flags->html, "Where the page with both timelines goes")
      ->capture_default_str();
}

void add_relay(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  const auto options = std::make_shared<RelayOptions>();
  CLI::App* relay = add(app, flags, "relay", "Passes on what nodes send each other",
                        [options](Flags&) { return run_relay(*options); });
  relay->group("");
  relay->add_option("--control", options->control)->required();
  relay->add_option("--subnet", options->subnet)->required();
  relay->add_option("--nodes", options->nodes)->required();
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* teller =
      add(app, flags, "relay-tell", "Tells a relay what to do", [words](Flags& given) {
        const auto answer = tell_relay(given.report_folder, joined(*words, " "));
        if (!answer) return failed(answer.error());
        std::printf("%s\n", answer->c_str());
        return answer->starts_with("ok") ? kExitGood : kExitFailed;
      });
  teller->group("");
  teller->add_option("control", flags->report_folder)->required();
  teller->add_option("words", *words)->required();
}

// Started by this program itself.
void add_hidden(CLI::App& app, const std::shared_ptr<Flags>& flags) {
  CLI::App* watch = add(app, flags, "dead-man", "Heals when its tool cannot",
                        [](Flags& given) { return dead_man(given.report_folder); });
  watch->group("");
  watch->add_option("journal", flags->report_folder)->required();
  const auto burning = std::make_shared<Burn>();
  CLI::App* burner = add(app, flags, "burn", "Takes cores or memory", [burning](Flags& given) {
    std::optional<Ms> time;
    if (!take_duration("--for", given.lasting, time)) return kExitUsage;
    burning->time = time.value_or(burning->time);
    return burn(*burning);
  });
  burner->group("");
  burner->add_option("what", burning->what)->required()->check(CLI::IsMember({"cpu", "mem"}));
  burner->add_option("amount", burning->amount)->required();
  burner->add_option("--like", burning->like);
  burner->add_option("--for", flags->lasting);
  burner->add_option("--mark", flags->target);
  add_relay(app, flags);
}

int run_main(int argc, char** argv) {
  CLI::App app("Hurts a shoal cluster while real work runs, and says what became of its promises.");
  app.require_subcommand(1);
  const auto flags = std::make_shared<Flags>();
  flags->run.command.assign(argv, argv + argc);
  add_run(app, flags);
  add_processes(app, flags);
  add_disk(app, flags);
  add_clock(app, flags);
  add_network(app, flags);
  add_inject(app, flags);
  add_looking(app, flags);
  add_compare(app, flags);
  add_hidden(app, flags);
  app.footer("Exit status: 0 all PASS, 1 some FAIL, 2 bad scenario or usage, 4 no cluster.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitGood : kExitUsage;
  }
  return flags->exit_code;
}

}  // namespace
}  // namespace shoal::chaos

int main(int argc, char** argv) { return shoal::chaos::run_main(argc, argv); }
