// Reads the tables of a TOML document field by field and notes everything that is wrong with it:
// unknown keys, missing and malformed values, each with its line and column.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/chaos/text.hpp"

namespace shoal::chaos {

class Complaints {
 public:
  explicit Complaints(std::string source) : source_(std::move(source)) {}

  void add(const toml::source_region& where, std::string_view path, const std::string& what);
  bool any() const { return !lines_.empty(); }
  Error error() const;

 private:
  std::string source_;
  std::vector<std::string> lines_;
};

class TomlTable {
 public:
  // `path` names the table in complaints: "load", "fault 2"; empty for the document.
  TomlTable(const toml::table& table, std::string path, Complaints& complaints)
      : table_(table), path_(std::move(path)), complaints_(complaints) {}

  // The value as words: a string as it is, numbers and truth values as they are written. Absent
  // when the key is; a list or a table is complained about.
  std::optional<std::string> words(std::string_view key);
  const toml::table* table(std::string_view key);
  std::vector<const toml::table*> tables(std::string_view key);  // A list of tables.

  // Sets `to` when the key is there and `parse` understands it.
  template <class T, class Parse>
  void take(std::string_view key, T& to, Parse parse) {
    const auto given = words(key);
    if (!given) return;
    auto parsed = parse(*given);
    if (parsed) {
      to = *parsed;
    } else {
      complain(key, parsed.error().message);
    }
  }

  // A whole number from `least` to `most`.
  void take_count(std::string_view key, std::uint32_t& to, std::uint32_t least, std::uint32_t most);

  bool has(std::string_view key) const { return table_.contains(key); }
  void complain(std::string_view key, const std::string& what);
  void complain(const std::string& what);  // About the whole table.
  // Complains about every key that nobody asked for. Call it last.
  void refuse_others();
  void know(std::string_view key) { known_.emplace_back(key); }

 private:
  const toml::table& table_;
  std::string path_;
  Complaints& complaints_;
  std::vector<std::string> known_;
};

// Applies KEY=VALUE to the document.
Result<void> set_value(toml::table& document, const std::string& assignment);

}  // namespace shoal::chaos
