// Random wire structs, within what the codec accepts, and their comparison field by field.
#pragma once

#include <cstddef>
#include <vector>

#include "base/random.hpp"
#include "wire/message.hpp"
#include "wire/persist.hpp"

namespace shoal::wire {

Message random_message(Random& random, std::size_t kind);  // `kind`: the variant's index.
ClientMessage random_client_message(Random& random);
Hello random_hello(Random& random);
void fill(Random& random, ShardState& value);
void fill(Random& random, task::TaskRecord& value);
void fill(Random& random, task::JobRecord& value);
void fill(Random& random, task::SpecRecord& value);

bool same(const std::vector<Message>& a, const std::vector<Message>& b);
bool same(const std::vector<ClientMessage>& a, const std::vector<ClientMessage>& b);
bool same(const Hello& a, const Hello& b);
bool same(const ShardState& a, const ShardState& b);
bool same(const task::TaskRecord& a, const task::TaskRecord& b);
bool same(const task::JobRecord& a, const task::JobRecord& b);
bool same(const task::SpecRecord& a, const task::SpecRecord& b);

}  // namespace shoal::wire
