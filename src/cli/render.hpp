// How things look on a terminal and in a pipe: tables, states, colours.
//
// A state is never told by colour alone: it has a glyph and a word, and an ASCII glyph where the
// locale is not UTF-8. Nothing is cut short unless it goes to a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/cluster.hpp"
#include "shoal/job.hpp"

namespace shoal::cli {

struct Style {
  bool color = false;
  bool unicode = false;
  bool terminal = false;
  std::size_t width = 0;  // Columns of the terminal; 0: do not cut.
};

// What decides about colour, apart from the terminal itself.
struct ColorHints {
  std::string_view option = "auto";  // --color
  bool no_color = false;             // NO_COLOR is set and not empty.
  bool dumb = false;                 // TERM=dumb
  bool force = false;                // CLICOLOR_FORCE is set, not empty and not 0.
};
bool use_color(const ColorHints& hints, bool terminal);

// For the stream behind `descriptor`, from the environment and the locale.
Style style_of(int descriptor, std::string_view color_option);

enum class Tone : std::uint8_t { plain, good, bad, busy, dim };
std::string paint(const Style& style, Tone tone, std::string_view text);

// What a person calls the state of a job or task, and its tone.
struct StateWord {
  std::string_view word;
  std::string_view glyph;  // UTF-8
  char ascii = ' ';
  Tone tone = Tone::plain;
};
StateWord word_of(const JobStatus& job);
StateWord word_of(TaskState state);
StateWord word_of_member(std::string_view state);
std::string state_text(const Style& style, const StateWord& word);

// "1000" for a job of one task, "812/1000 (3 fail)" else.
std::string count_text(const TaskCounts& counts, std::uint32_t total);
// "exit 3", "signal 9", "timed out", "not found: ...".
std::string end_text(const AttemptResult& result);
std::string age_text(std::chrono::milliseconds age);  // "6s", "2m", "3h", "5d"
// One line that a shell would read back as the same words.
std::string command_text(const std::vector<std::string>& argv);
// Control characters in names and arguments must not reach a terminal.
std::string printable(std::string_view text);

// Columns a text takes on a terminal: code points, escape sequences left out.
std::size_t display_width(std::string_view text);

// At most `width` columns of `text`, marked where it was cut; colours are closed again.
std::string cut(std::string_view text, std::size_t width, bool unicode);

class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // REQUIRES: as many cells as columns.
  void add(std::vector<std::string> cells);
  std::size_t row_count() const { return rows_.size(); }
  // On a terminal the last column is cut where the line would wrap.
  std::string text(const Style& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace shoal::cli
