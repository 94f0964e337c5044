#include "cli/render.hpp"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/assert.hpp"
#include "base/format.hpp"
#include "base/units.hpp"

namespace shoal::cli {
namespace {

constexpr std::string_view kReset = "\x1b[0m";

std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::good:
      return "\x1b[32m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::busy:
      return "\x1b[36m";
    case Tone::dim:
      return "\x1b[2m";
  }
  return "";
}

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

bool use_color(const ColorHints& hints, bool terminal) {
  if (hints.option == "always") return true;
  if (hints.option == "never") return false;
  if (hints.no_color) return false;
  if (hints.force) return true;
  return terminal && !hints.dumb;
}

Style style_of(int descriptor, std::string_view color_option) {
  Style style;
  style.terminal = isatty(descriptor) == 1;
  const std::string_view force = variable("CLICOLOR_FORCE");
  style.color = use_color({.option = color_option,
                           .no_color = !variable("NO_COLOR").empty(),
                           .dumb = variable("TERM") == "dumb",
                           .force = !force.empty() && force != "0"},
                          style.terminal);
  style.unicode = std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  winsize size{};
  if (style.terminal && ioctl(descriptor, TIOCGWINSZ, &size) == 0) style.width = size.ws_col;
  return style;
}

std::string paint(const Style& style, Tone tone, std::string_view text) {
  if (!style.color || tone == Tone::plain) return std::string(text);
  return format("{}{}{}", escape_of(tone), text, kReset);
}

StateWord word_of(const JobStatus& job) {
  const TaskCounts& counts = job.counts;
  if (job.state == JobState::finished) {
    if (job.cancelled || counts.cancelled > 0) return word_of(TaskState::cancelled);
    if (counts.failed > 0) return word_of(TaskState::failed);
    if (counts.lost > 0) return word_of(TaskState::lost);
    return {"done", "✔", '+', Tone::good};
  }
  if (job.cancelled) return {"cancelling", "⊘", '-', Tone::dim};
  if (counts.claimed > 0) return word_of(TaskState::claimed);
  if (job.state == JobState::open) return {"open", "◌", 'o', Tone::busy};
  return word_of(TaskState::ready);
}

StateWord word_of(TaskState state) {
  switch (state) {
    case TaskState::ready:
      return {"pending", "◌", 'o', Tone::plain};
    case TaskState::claimed:
      return {"running", "●", '*', Tone::busy};
    case TaskState::succeeded:
      return {"done", "✔", '+', Tone::good};
    case TaskState::failed:
      return {"failed", "✖", 'x', Tone::bad};
    case TaskState::cancelled:
      return {"cancelled", "⊘", '-', Tone::dim};
    case TaskState::expired:
      return {"expired", "⊘", '-', Tone::dim};
    case TaskState::lost:
      return {"lost", "?", '?', Tone::bad};
  }
  return {"unknown", "?", '?', Tone::plain};
}

StateWord word_of_member(std::string_view state) {
  if (state == "alive") return {"alive", "●", '*', Tone::good};
  if (state == "suspect") return {"suspect", "◐", '~', Tone::busy};
  if (state == "draining") return {"draining", "◇", '-', Tone::busy};
  if (state == "leaving") return {"leaving", "◇", '-', Tone::busy};
  if (state == "dead") return {"dead", "✖", 'x', Tone::bad};
  if (state == "left") return {"left", "⊘", '-', Tone::dim};
  return {"unknown", "?", '?', Tone::plain};
}

std::string state_text(const Style& style, const StateWord& word) {
  const std::string glyph = style.unicode ? std::string(word.glyph) : std::string(1, word.ascii);
  return paint(style, word.tone, format("{} {}", glyph, word.word));
}

std::string count_text(const TaskCounts& counts, std::uint32_t total) {
  if (total <= 1) return format("{}", total);
  const std::uint32_t bad = counts.failed + counts.lost;
  if (bad == 0) return format("{}/{}", counts.ended(), total);
  return format("{}/{} ({} fail)", counts.ended(), total, bad);
}

std::string end_text(const AttemptResult& result) {
  const std::string why = result.message.empty() ? "" : ": " + printable(result.message);
  switch (result.reason) {
    case EndReason::exited:
      return format("exit {}", result.exit_status);
    case EndReason::signalled:
      return format("signal {}", result.signal);
    case EndReason::timed_out:
      return "timed out";
    case EndReason::cancelled:
      return "cancelled";
    case EndReason::not_found:
      return "command not found" + why;
    case EndReason::not_executable:
      return "command not executable" + why;
    case EndReason::start_failed:
      return "could not be started" + why;
    case EndReason::node_stopped:
      return "node stopped";
  }
  return "unknown end";
}

std::string age_text(std::chrono::milliseconds age) {
  const auto seconds = std::max<std::int64_t>(0, age.count() / 1000);
  if (seconds < 60) return format("{}s", seconds);
  if (seconds < 3600) return format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return format("{}h", seconds / 3600);
  return format("{}d", seconds / 86400);
}

std::string command_text(const std::vector<std::string>& argv) {
  constexpr std::string_view kSafe = "%+,-./:=@_{}#";
  std::string line;
  for (const std::string& word : argv) {
    if (!line.empty()) line += ' ';
    const bool safe = !word.empty() && std::ranges::all_of(word, [&](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || kSafe.contains(c);
    });
    if (safe) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) {
      if (c == '\'') {
        line += "'\\''";
      } else {
        line += c;
      }
    }
    line += '\'';
  }
  return line;
}

std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return clean;
}

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\x1b') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xC0) != 0x80) ++columns;
    if (escape && c == 'm') escape = false;
  }
  return columns;
}

std::string cut(std::string_view text, std::size_t width, bool unicode) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view mark = unicode ? "…" : ".";
  std::string kept;
  std::size_t columns = 0;
  bool escape = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\x1b') escape = true;
    const bool starts = !escape && (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (starts && ++columns >= width) break;
    kept += c;
    if (escape && c == 'm') escape = false;
  }
  kept += mark;
  if (text.find('\x1b') != std::string_view::npos) kept += kReset;
  return kept;
}

void Table::add(std::vector<std::string> cells) {
  SHOAL_ASSERT(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(const Style& style) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  const auto line_of = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = cell_of(i);
      const std::string pad(widths[i] - display_width(cell), ' ');
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::right ? pad + cell : cell + pad;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return style.width > 0 ? cut(line, style.width, style.unicode) : line;
  };
  std::string all = line_of([&](std::size_t i) { return columns_[i].title; }) + "\n";
  for (const auto& row : rows_) {
    all += line_of([&](std::size_t i) { return row[i]; }) + "\n";
  }
  return all;
}

}  // namespace shoal::cli
