// Messages as bytes: Cap'n Proto, unpacked, in one segment. Decoding bounds everything before it
// allocates and never throws or aborts on what a peer sent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.hpp"
#include "wire/message.hpp"

namespace shoal::wire {

// A frame's body holds a list of messages of one sender, in order. Messages that a frame's limit
// would be exceeded by go into further bodies: each body is at most kFrameBytesMax. REQUIRES: each
// message alone fits kFrameBytesMax (senders bound their lists).
std::vector<std::string> encode_messages(std::span<const Message> messages);
Result<std::vector<Message>> decode_messages(std::string_view body);

// One datagram's body: the same encoding, one message.
std::string encode_message(const Message& message);

std::vector<std::string> encode_client_messages(std::span<const ClientMessage> messages);
Result<std::vector<ClientMessage>> decode_client_messages(std::string_view body);

std::string encode_hello(const Hello& hello);
Result<Hello> decode_hello(std::string_view body);

}  // namespace shoal::wire
