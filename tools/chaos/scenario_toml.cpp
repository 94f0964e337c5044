// Scenarios from TOML.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "tools/chaos/scenario.hpp"
#include "tools/chaos/toml_reader.hpp"

namespace shoal::chaos {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kTasksMax = 10'000'000;
constexpr std::uint32_t kNodesMax = 64;
constexpr std::uint32_t kTimesMax = 100'000;

Result<std::uint64_t> parse_seed(std::string_view words) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), seed);
  if (error == std::errc() && end == words.data() + words.size()) return seed;
  return fail(ErrorCode::bad_input, text("'", words, "' is no seed: give a whole number"));
}

Result<std::uint32_t> parse_cpu_millis(std::string_view words) {
  const auto cpus = parse_number(words);
  if (cpus && *cpus >= 0 && *cpus <= 1000) {
    return static_cast<std::uint32_t>(std::llround(*cpus * 1000));
  }
  return fail(ErrorCode::bad_input, text("'", words, "' is no number of cpus, such as 0.1"));
}

Result<std::string> parse_name(std::string_view words) {
  const bool good = !words.empty() && words.size() <= 60 && std::ranges::all_of(words, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
  });
  if (good) return std::string(words);
  return fail(ErrorCode::bad_input,
              text("'", words, "' is no name: use letters, digits, '-' and '_'"));
}

Result<std::string> as_it_is(std::string_view words) { return std::string(words); }

// "sleep:5ms~20ms"
Result<std::pair<Time, Time>> parse_payload(std::string_view words) {
  constexpr std::string_view kSleep = "sleep:";
  if (!words.starts_with(kSleep)) {
    return fail(ErrorCode::bad_input,
                text("'", words, "' is no payload: write it as sleep:5ms~20ms"));
  }
  const std::vector<std::string> ends = split(words.substr(kSleep.size()), '~');
  const auto least = parse_short_duration(ends.front());
  const auto most = parse_short_duration(ends.back());
  if (!least) return std::unexpected(least.error());
  if (!most) return std::unexpected(most.error());
  if (ends.size() > 2 || *most < *least) {
    return fail(ErrorCode::bad_input, text("'", words, "': write the least first"));
  }
  return std::pair(*least, *most);
}

// What only one word is possible for yet.
void take_only(TomlTable& table, std::string_view key, std::string_view word) {
  const auto given = table.words(key);
  if (given && *given != word) {
    table.complain(key, text("'", *given, "' is not possible; there is '", word, "'"));
  }
}

void read_cluster(const toml::table& toml, ClusterSpec& cluster, Complaints& complaints) {
  TomlTable table(toml, "cluster", complaints);
  table.take_count("nodes", cluster.nodes, 1, kNodesMax);
  table.take("backend", cluster.backend, as_it_is);
  table.take("disk", cluster.disk_bytes, parse_size);
  constexpr std::uint64_t kDiskBytesMin = 64ULL << 20;
  if (cluster.disk_bytes > 0 && cluster.disk_bytes < kDiskBytesMin) {
    table.complain("disk", text("a node needs ", size_text(kDiskBytesMin), " or more"));
  }
  table.refuse_others();
}

void read_load(const toml::table& toml, LoadSpec& load, Complaints& complaints) {
  TomlTable table(toml, "load", complaints);
  take_only(table, "kind", "map");
  take_only(table, "marker", "file");
  table.take_count("tasks", load.tasks, 1, kTasksMax);
  table.take_count("array", load.array, 1, 100'000);
  table.take_count("clients", load.clients, 1, 256);
  table.take_count("in_flight", load.in_flight, 1, 64);
  table.take("single", load.single, parse_percent);
  table.take("at_most_once", load.at_most_once, parse_percent);
  table.take("cpus", load.cpu_millis, parse_cpu_millis);
  table.take("beat", load.beat, parse_duration);
  std::pair sleeps{load.sleep_least, load.sleep_most};
  table.take("payload", sleeps, parse_payload);
  load.sleep_least = sleeps.first;
  load.sleep_most = sleeps.second;
  table.take("longer", load.longer, parse_percent);
  std::pair longer{load.longer_least, load.longer_most};
  table.take("longer_payload", longer, parse_payload);
  load.longer_least = longer.first;
  load.longer_most = longer.second;
  if (const auto pace = table.words("pace")) {
    const std::vector<std::string> paces{"even", "fast"};
    load.even = *pace == "even";
    if (std::ranges::find(paces, *pace) == paces.end()) {
      table.complain("pace", text("there is no pace '", *pace, "'.", suggestion(*pace, paces)));
    }
  }
  if (load.beat < Ms(10)) table.complain("beat", "marks every 10ms or slower, please");
  table.refuse_others();
}

std::optional<Target> read_target(TomlTable& table, std::string_view key) {
  const auto words = table.words(key);
  if (!words) return std::nullopt;
  auto target = parse_target(*words);
  if (target) return *std::move(target);
  table.complain(key, target.error().message);
  return std::nullopt;
}

// What is common to planned and drawn faults; absent when there is not even a kind.
std::optional<Fault> read_fault(TomlTable& table) {
  const auto what = table.words("what");
  const std::vector<std::string> names = fault_names();
  const FaultRule* rule = what ? find_rule(*what) : nullptr;
  if (rule == nullptr) {
    if (what)
      table.complain("what", text("there is no fault '", *what, "'.", suggestion(*what, names)));
    if (!what) table.complain("it does not say what: there are " + joined(names));
    return std::nullopt;
  }
  Fault fault{.kind = rule->kind};
  for (const ParameterRule& each : rule->parameters) {
    const auto words = table.words(each.name);
    if (!words) continue;
    auto value = parse_value(each, *words);
    if (value) {
      fault.parameters[std::string(each.name)] = *std::move(value);
    } else {
      table.complain(each.name, value.error().message);
    }
  }
  if (rule->targeted) {
    const bool told = table.has("target");
    if (auto target = read_target(table, "target")) fault.target = *std::move(target);
    if (!told) table.complain(text("a fault '", rule->name, "' needs a target, such as any:1"));
  }
  // Values that were malformed have been complained about.
  const auto missing = what_is_missing(fault);
  const bool given = std::ranges::any_of(rule->parameters, [&table](const ParameterRule& each) {
    return each.otherwise.empty() && table.has(each.name);
  });
  if (missing && !given) table.complain(*missing);
  return fault;
}

void read_repeats(TomlTable& table, FaultSpec& spec) {
  for (const std::string_view key : {"repeat", "every"}) {
    auto words = table.words(key);
    if (!words) continue;
    constexpr std::string_view kEvery = "every ";
    if (words->starts_with(kEvery)) words->erase(0, kEvery.size());
    const auto every = parse_duration(*words);
    if (every && *every > Ms(0)) {
      spec.every = *every;
    } else {
      table.complain(key, text("'", *words, "' is no interval, such as every 30s"));
    }
  }
  if (table.has("times")) {
    std::uint32_t times = 1;
    table.take_count("times", times, 1, kTimesMax);
    spec.times = times;
  }
  table.take("until", spec.until, parse_duration);
  table.take("rolling", spec.rolling, parse_duration);
  if ((spec.times || spec.until) && !spec.every) {
    table.complain("times and until go with repeat = \"every 30s\"");
  }
}

void read_planned(const toml::table& toml, std::size_t number, Scenario& scenario,
                  Complaints& complaints) {
  TomlTable table(toml, text("fault ", number), complaints);
  const auto fault = read_fault(table);
  if (!fault) return;
  FaultSpec spec{.fault = *fault};
  if (!table.has("at")) table.complain("it does not say when: at = \"20s\"");
  table.take("at", spec.at, parse_duration);
  table.take("for", spec.fault.duration, parse_duration);
  read_repeats(table, spec);
  if (table.has("at") && spec.at < scenario.warmup) {
    table.complain("at", text("it comes before the warm-up of ", duration_text(scenario.warmup),
                              " ends, so that there would be no `before` to compare with"));
  }
  if (spec.at >= scenario.duration) {
    table.complain(
        "at", text("all is healed by then: the duration is ", duration_text(scenario.duration)));
  }
  table.refuse_others();
  scenario.faults.push_back(std::move(spec));
}

void read_random(const toml::table& toml, Scenario& scenario, Complaints& complaints) {
  TomlTable table(toml, "random", complaints);
  RandomSpec random;
  for (const auto& [key, span] : {std::pair{"every", &random.every}, {"for", &random.lasting}}) {
    if (!table.has(key)) table.complain(text("it does not say ", key, ", such as 4s~12s"));
    table.take(key, *span, parse_span);
  }
  if (table.has("every") && random.every.least < Ms(100)) {
    table.complain("every", "one fault every 100ms is the most");
  }
  table.take_count("at_once", random.at_once, 1, kNodesMax);
  std::size_t number = 0;
  for (const toml::table* each : table.tables("fault")) {
    TomlTable inner(*each, text("random.fault ", ++number), complaints);
    RandomSpec::Choice choice;
    inner.take_count("weight", choice.weight, 1, 10'000);
    if (inner.has("for")) {
      Span lasting;
      inner.take("for", lasting, parse_span);
      choice.lasting = lasting;
    }
    if (const auto fault = read_fault(inner)) {
      choice.fault = *fault;
      inner.refuse_others();
      random.choices.push_back(std::move(choice));
    }
  }
  if (number == 0) table.complain("it has nothing to draw from: add [[random.fault]]");
  table.refuse_others();
  scenario.random = std::move(random);
}

Result<double> parse_bound(BoundType type, std::string_view words) {
  if (type == BoundType::duration) {
    const auto time = parse_duration(words);
    if (!time) return std::unexpected(time.error());
    return static_cast<double>(time->count());
  }
  if (type == BoundType::percent) return parse_percent(words);
  const auto number = parse_number(words);
  if (number && type == BoundType::count && *number != std::floor(*number)) {
    return fail(ErrorCode::bad_input, text("'", words, "' is no whole number"));
  }
  return number;
}

void read_expect(const toml::table& toml, Scenario& scenario, Complaints& complaints) {
  TomlTable table(toml, "expect", complaints);
  for (const ExpectationRule& rule : expectation_rules()) {
    const std::string name(rule.name);
    std::optional<std::string> words;
    const toml::node* node = toml.get(name);
    if (node != nullptr && node->is_table()) {
      TomlTable bound(*table.table(name), text("expect.", name), complaints);
      words = bound.words("max");
      if (!words) bound.complain("it does not say max");
      bound.refuse_others();
    } else {
      words = table.words(name);
    }
    if (!words) continue;
    const auto bound = parse_bound(rule.type, *words);
    if (bound && *bound >= 0) {
      scenario.expect[name] = *bound;
    } else {
      table.complain(name, bound ? "a bound is not negative" : bound.error().message);
    }
  }
  table.refuse_others();
}

void read_document(const toml::table& document, Scenario& scenario, Complaints& complaints) {
  TomlTable table(document, "", complaints);
  const auto version = table.words("chaos");
  if (!version || *version != std::to_string(kVersion)) {
    table.complain("chaos", version ? text("this program reads version ", kVersion)
                                    : "the format's version is missing: chaos = 1");
  }
  table.take("name", scenario.name, parse_name);
  table.take("about", scenario.about, as_it_is);
  table.take("seed", scenario.seed, parse_seed);
  table.take("duration", scenario.duration, parse_duration);
  table.take("warmup", scenario.warmup, parse_duration);
  table.take("settle", scenario.settle, parse_duration);
  table.take("patience", scenario.patience, parse_duration);
  if (scenario.warmup >= scenario.duration) {
    table.complain("duration",
                   text("it is not longer than the warm-up of ", duration_text(scenario.warmup)));
  }
  if (const auto* inner = table.table("cluster")) {
    read_cluster(*inner, scenario.cluster, complaints);
  }
  if (const auto* inner = table.table("load")) read_load(*inner, scenario.load, complaints);
  std::size_t number = 0;
  for (const toml::table* each : table.tables("fault")) {
    read_planned(*each, ++number, scenario, complaints);
  }
  if (const auto* inner = table.table("random")) read_random(*inner, scenario, complaints);
  if (const auto* inner = table.table("expect")) read_expect(*inner, scenario, complaints);
  table.refuse_others();
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view toml, const std::string& source,
                                const std::vector<std::string>& sets) {
  toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    const toml::source_position at = parsed.error().source().begin;
    return fail(ErrorCode::bad_input, text(source, ":", at.line, ":", at.column, ": ",
                                           std::string(parsed.error().description())));
  }
  toml::table document = std::move(parsed).table();
  for (const std::string& each : sets) {
    if (auto done = set_value(document, each); !done) return std::unexpected(done.error());
  }
  Scenario scenario;
  const std::filesystem::path path(source);
  scenario.name = parse_name(path.stem().string()).value_or("scenario");
  Complaints complaints(source);
  read_document(document, scenario, complaints);
  if (complaints.any()) return std::unexpected(complaints.error());
  return scenario;
}

}  // namespace shoal::chaos
