#include "tools/chaos/timeline.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "tools/chaos/verdicts.hpp"

namespace shoal::chaos {
namespace {

constexpr double kLeft = 92;
constexpr double kRight = 24;
constexpr double kWidth = 1180;
constexpr double kTop = 44;
constexpr double kLane = 26;
constexpr double kBar = 18;  // Of a lane.
constexpr double kGap = 34;
constexpr double kChart = 130;
constexpr Time kSecond{1'000'000};
constexpr Time kLook{250'000};
constexpr double kLeastWait = 1;  // Milliseconds: the bottom of its chart.
constexpr std::uint32_t kMoveMin = 1;

std::string number(double value) { return number_text(value, 1); }

std::string colour_of(const std::string& state) {
  if (state == "alive") return "#cfe8d2";
  if (state == "suspect") return "#f6d88a";
  if (state == "dead") return "#b9bec5";
  if (state == "left") return "#dfe3e8";
  return "#f4f5f7";
}

struct Series {
  std::vector<double> values;  // One for each second; negative: none.
  std::string colour;
  std::string name;
  bool filled = false;
};

struct Work {
  std::vector<double> starts;
  std::vector<double> ends;
  std::vector<double> p50;  // Milliseconds.
  std::vector<double> p99;
};

std::optional<std::size_t> second_of(Time t, std::size_t count) {
  const auto second = t / kSecond;
  if (t < Time(0) || std::cmp_greater_equal(second, count)) return std::nullopt;
  return static_cast<std::size_t>(second);
}

Work work_of(const Evidence& evidence, std::size_t seconds) {
  Work work{.starts = std::vector<double>(seconds),
            .ends = std::vector<double>(seconds),
            .p50 = std::vector<double>(seconds, -1),
            .p99 = std::vector<double>(seconds, -1)};
  std::vector<std::vector<Time>> waits(seconds);
  for (const auto& [id, job] : evidence.jobs) {
    for (const TaskFacts& task : job.facts) {
      for (const Attempt& attempt : task.attempts) {
        const auto start = second_of(attempt.start, seconds);
        const auto end = second_of(attempt.last, seconds);
        const bool first = &attempt == &task.attempts.front();
        if (start) ++work.starts[*start];
        if (end && attempt.ended) ++work.ends[*end];
        if (start && first && job.begun) waits[*start].push_back(attempt.start - *job.begun);
      }
    }
  }
  for (std::size_t i = 0; i < seconds; ++i) {
    if (waits[i].empty()) continue;
    work.p50[i] = static_cast<double>(percentile(waits[i], 0.5)->count()) / 1000;
    work.p99[i] = static_cast<double>(percentile(waits[i], 0.99)->count()) / 1000;
  }
  return work;
}

// 1, 2 or 5 times a power of ten, so that there are about `steps` of it in `most`.
double step_of(double most, double steps) {
  const double rough = std::max(most / steps, 1e-6);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  Drawing(const Evidence& evidence, Time until)
      : evidence_(evidence),
        last_(std::max(last_of(evidence), until)),
        lanes_end_(kTop + kLane * static_cast<double>(evidence.nodes.size())),
        rates_top_(lanes_end_ + kGap),
        waits_top_(rates_top_ + kChart + kGap),
        bottom_(waits_top_ + kChart) {}

  std::string whole() {
    svg_ = text("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", number(kWidth), " ",
                number(bottom_ + 40),
                "\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"11\">\n"
                "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    legend();
    lanes();
    shades();
    bars();
    moves();
    steals();
    charts();
    phases();
    axis();
    return svg_ + "</svg>\n";
  }

 private:
  double x(Time t) const {
    const double share = static_cast<double>(std::clamp(t, Time(0), last_).count()) /
                         static_cast<double>(last_.count());
    return kLeft + share * (kWidth - kLeft - kRight);
  }

  double lane_top(std::size_t lane) const { return kTop + kLane * static_cast<double>(lane); }

  std::optional<std::size_t> lane_of(const std::string& node) const {
    const auto found = std::ranges::find(evidence_.nodes, node);
    if (found == evidence_.nodes.end()) return std::nullopt;
    return static_cast<std::size_t>(found - evidence_.nodes.begin());
  }

  void box(double left, double top, double width, double height, const std::string& style,
           const std::string& title = {}) {
    svg_ += text("<rect x=\"", number(left), "\" y=\"", number(top), "\" width=\"",
                 number(std::max(width, 0.5)), "\" height=\"", number(height), "\" ", style);
    svg_ += title.empty() ? "/>\n" : text("><title>", xml_text(title), "</title></rect>\n");
  }

  void line(double x1, double y1, double x2, double y2, const std::string& style) {
    svg_ += text("<line x1=\"", number(x1), "\" y1=\"", number(y1), "\" x2=\"", number(x2),
                 "\" y2=\"", number(y2), "\" ", style, "/>\n");
  }

  void words(double left, double top, const std::string& what, const std::string& style = {}) {
    svg_ += text("<text x=\"", number(left), "\" y=\"", number(top), "\" ",
                 style.empty() ? "fill=\"#333\"" : style, ">", xml_text(what), "</text>\n");
  }

  void legend() {
    double left = kLeft;
    for (const char* state : {"alive", "suspect", "dead"}) {
      box(left, 8, 14, 11, text("fill=\"", colour_of(state), "\" stroke=\"#999\""));
      words(left + 19, 17, state);
      left += 72;
    }
    box(left, 8, 14, 11, "fill=\"#c0392b\"");
    words(left + 19, 17, "fault on this node");
    box(left + 132, 8, 14, 11, "fill=\"#c0392b\" fill-opacity=\"0.12\"");
    words(left + 151, 17, "some fault");
    line(left + 226, 8, left + 226, 19, "stroke=\"#1f4e9c\" stroke-width=\"2\"");
    words(left + 232, 17, "takes over shards");
    box(left + 336, 15, 14, 4, "fill=\"#7d3c98\"");
    words(left + 355, 17, "steals tasks");
    words(left + 440, 17, "node lanes are coloured as most other nodes saw them", "fill=\"#777\"");
  }

  void lanes() {
    for (std::size_t i = 0; i < evidence_.nodes.size(); ++i) {
      const std::string& node = evidence_.nodes[i];
      words(kLeft - 10, lane_top(i) + 14, node, "fill=\"#333\" text-anchor=\"end\"");
      Time from{0};
      std::string state = seen_as(evidence_, node, from);
      for (Time t = kLook;; t += kLook) {
        const std::string next = t < last_ ? seen_as(evidence_, node, t) : "-";
        if (next == state) continue;
        const Time until = std::min(t, last_);
        box(x(from), lane_top(i), x(until) - x(from), kBar, text("fill=\"", colour_of(state), "\""),
            text(node, " is ", state.empty() ? "unknown" : state, " for the others, ",
                 duration_text(from), " to ", duration_text(until)));
        from = until;
        state = next;
        if (t >= last_) break;
      }
    }
  }

  Time end_of(const FaultFacts& fault) const { return fault.heal_ended.value_or(fault.until); }

  void shades() {
    double free_from = 0;  // Of the row of numbers.
    for (const FaultFacts& fault : evidence_.faults) {
      if (!fault.injected) continue;
      const double left = x(fault.begun);
      box(left, kTop - 6, std::max(x(end_of(fault)) - left, 2.0), bottom_ - kTop + 6,
          "fill=\"#c0392b\" fill-opacity=\"0.09\"", text(fault.id, ": ", fault.text));
      if (left < free_from) continue;
      words(left + 1, kTop - 9, text(fault.what, " #", fault.id),
            "fill=\"#a93226\" font-size=\"10\"");
      free_from = left + 8 + 6.2 * static_cast<double>(text(fault.what, " #", fault.id).size());
    }
  }

  void bars() {
    for (const FaultFacts& fault : evidence_.faults) {
      for (const std::string& node : fault.injected ? fault.nodes : std::vector<std::string>()) {
        const auto lane = lane_of(node);
        if (!lane) continue;
        const double left = x(fault.begun);
        box(left, lane_top(*lane) + kBar - 6, std::max(x(end_of(fault)) - left, 3.0), 6,
            "fill=\"#c0392b\"", text(fault.id, ": ", fault.text));
      }
    }
    for (const CrashFacts& crash : evidence_.crashes) {
      const auto lane = lane_of(crash.node);
      if (lane) words(x(crash.t), lane_top(*lane) + 13, "✕ ended by itself", "fill=\"#000\"");
    }
  }

  void moves() {
    for (const MoveFacts& move : evidence_.moves) {
      const auto lane = lane_of(move.to);
      if (!lane || move.shards < kMoveMin) continue;
      svg_ += text(
          "<g><title>",
          xml_text(text(move.to, " owns ", move.shards, " more shards at ", duration_text(move.t))),
          "</title>");
      line(x(move.t), lane_top(*lane), x(move.t), lane_top(*lane) + kBar - 6,
           "stroke=\"#1f4e9c\" stroke-width=\"1.6\"");
      svg_ += "</g>\n";
    }
  }

  void steals() {
    std::map<std::string, std::uint64_t> before;
    for (const StealFacts& steal : evidence_.steals) {
      const auto lane = lane_of(steal.node);
      const auto known = before.find(steal.node);
      const bool more = known != before.end() && steal.stolen > known->second;
      if (lane && more) {
        const double count = static_cast<double>(steal.stolen - known->second);
        box(x(steal.t) - 2, lane_top(*lane) + kBar, 4, 3,
            text("fill=\"#7d3c98\" fill-opacity=\"",
                 number_text(std::min(1.0, 0.25 + count / 60), 2), "\""),
            text(steal.node, " ran ", steal.stolen - known->second, " tasks of others' shards"));
      }
      before[steal.node] = steal.stolen;
    }
  }

  // `scale` turns a value into its height above the chart's bottom.
  void curve(const Series& series, double top, const std::function<double(double)>& scale) {
    std::string points;
    for (std::size_t i = 0; i < series.values.size(); ++i) {
      if (series.values[i] < 0) continue;
      const Time middle = kSecond * static_cast<std::int64_t>(i) + kSecond / 2;
      points += text(number(x(middle)), ",", number(top + kChart - scale(series.values[i])), " ");
    }
    if (series.filled) {
      svg_ += text("<polygon fill=\"", series.colour, "\" fill-opacity=\"0.25\" points=\"",
                   number(x(Time(0))), ",", number(top + kChart), " ", points, number(x(last_)),
                   ",", number(top + kChart), "\"/>\n");
    }
    svg_ += text("<polyline fill=\"none\" stroke=\"", series.colour,
                 "\" stroke-width=\"1.5\" points=\"", points, "\"/>\n");
  }

  void heading(double top, const std::string& what, const std::vector<Series>& all) {
    words(kLeft, top - 6, what, "fill=\"#333\" font-weight=\"600\"");
    double left = kLeft + 190;
    for (const Series& series : all) {
      line(left, top - 10, left + 16, top - 10,
           text("stroke=\"", series.colour, "\" stroke-width=\"2\""));
      words(left + 20, top - 6, series.name);
      left += 34 + 6.5 * static_cast<double>(series.name.size());
    }
  }

  void grid(double top, double height, const std::string& label) {
    line(kLeft, top + kChart - height, kWidth - kRight, top + kChart - height,
         "stroke=\"#dddddd\"");
    words(kLeft - 8, top + kChart - height + 4, label, "fill=\"#555\" text-anchor=\"end\"");
  }

  void charts() {
    const auto seconds = static_cast<std::size_t>(last_ / kSecond) + 1;
    Work work = work_of(evidence_, seconds);
    const std::vector<Series> rates{{work.ends, "#1e8449", "ended", true},
                                    {work.starts, "#2471a3", "started"}};
    double most = 1;
    for (const Series& series : rates) most = std::max(most, std::ranges::max(series.values));
    heading(rates_top_, "tasks a second", rates);
    const double step = step_of(most, 4);
    for (double value = 0; value <= most; value += step) {
      grid(rates_top_, value / most * kChart, number_text(value, 0));
    }
    for (const Series& series : rates) {
      curve(series, rates_top_, [most](double value) { return value / most * kChart; });
    }
    const std::vector<Series> waits{{work.p50, "#2471a3", "median"},
                                    {work.p99, "#ca6f1e", "99 of 100"}};
    heading(waits_top_, "handed in to first start", waits);

    const double decades = std::max(
        1.0, std::ceil(std::log10(std::max(10.0, std::ranges::max(work.p99)) / kLeastWait)));
    const auto height = [decades](double value) {
      return std::log10(std::max(value, kLeastWait) / kLeastWait) / decades * kChart;
    };
    for (int i = 0; i <= static_cast<int>(decades); ++i) {
      const double value = kLeastWait * std::pow(10, i);
      grid(waits_top_, height(value), duration_text(Ms(static_cast<std::int64_t>(value))));
    }
    for (const Series& series : waits) curve(series, waits_top_, height);
  }

  void phases() {
    const std::vector<std::pair<std::string, std::string>> shown{
        {"warmup_end", "faults begin"}, {"healed", "all healed"}, {"load_end", "load ended"}};
    double row = 0;
    for (const auto& [name, label] : shown) {
      const auto found = evidence_.phases.find(name);
      if (found == evidence_.phases.end()) continue;
      const double at = x(found->second);
      line(at, kTop - 6, at, bottom_, "stroke=\"#555\" stroke-dasharray=\"3 3\"");
      words(at + 4, lanes_end_ + 10 + row, label, "fill=\"#555\" font-size=\"10\"");
      row = row > 0 ? 0 : 11;
    }
  }

  void axis() {
    line(kLeft, bottom_, kWidth - kRight, bottom_, "stroke=\"#555\"");
    const double seconds = static_cast<double>(last_.count()) / 1e6;
    const double step = step_of(seconds, 12);
    for (double at = 0; at <= seconds; at += step) {
      const double left = x(Time(static_cast<std::int64_t>(at * 1e6)));
      line(left, bottom_, left, bottom_ + 4, "stroke=\"#555\"");
      words(left, bottom_ + 17, text(number_text(at, step < 1 ? 1 : 0), "s"),
            "fill=\"#555\" text-anchor=\"middle\"");
    }
    words(kLeft, bottom_ + 33, "seconds since the load began", "fill=\"#777\"");
  }

  const Evidence& evidence_;
  Time last_;
  double lanes_end_;
  double rates_top_;
  double waits_top_;
  double bottom_;
  std::string svg_;
};

}  // namespace

std::string seen_as(const Evidence& evidence, const std::string& node, Time t) {
  std::map<std::string, int> votes;
  for (const auto& [observer, views] : evidence.views) {
    if (observer == node) continue;
    const auto next = std::ranges::upper_bound(views, t, {}, &ViewFacts::t);
    if (next == views.begin() || !std::prev(next)->sees) continue;
    const auto& sees = *std::prev(next)->sees;
    if (const auto state = sees.find(node); state != sees.end()) ++votes[state->second];
  }
  const auto most =
      std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  return most == votes.end() ? std::string() : most->first;
}

Time last_of(const Evidence& evidence) {
  Time last = evidence.phase("end", kSecond);
  for (const auto& [name, t] : evidence.phases) last = std::max(last, t);
  return std::max(last, kSecond);
}

std::string timeline_svg(const Evidence& evidence, Time until) {
  return Drawing(evidence, until).whole();
}

}  // namespace shoal::chaos
