-- Remember statuses: of each transaction the highest revision, of all of them the newest `keep`.
--
-- KEYS: 1 the order (a sorted set of sort keys, all with score 0), 2 the entries (a hash: sort key -> entry), 3 trimmed,
-- 4 complete (how many there were when they were all)
-- ARGV: 1 keep, 2 whether the same revision is written again ('1'), then for each status: sort key, revision, entry
-- ("<revision>\n<json>\n<json>")
-- One script, so that no reader or writer sees a half of it, and no late writer covers a newer revision.
local order, entries, trimmed, complete = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keep, again = tonumber(ARGV[1]), ARGV[2] == '1'
-- What is older than the oldest of a complete list that was trimmed is Cassandra's: kept, it would hide those between.
local border = redis.call('EXISTS', trimmed, complete) == 2 and redis.call('ZRANGE', order, 0, 0)[1]
for i = 3, #ARGV, 3 do
  local key, revision, entry = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local held = redis.call('HGET', entries, key)
  local has = held and tonumber(string.match(held, '^%d+'))
  if not held or has < revision or again and has == revision then
    redis.call('HSET', entries, key, entry)
    if not held then redis.call('ZADD', order, 0, key) end
  end
end
local over = math.max(redis.call('ZCARD', order) - keep, border and redis.call('ZRANK', order, border) or 0)
if over > 0 then
  local oldest = redis.call('ZRANGE', order, 0, over - 1)
  for i = 1, #oldest, 1000 do
    local some = {unpack(oldest, i, math.min(i + 999, #oldest))}
    redis.call('ZREM', order, unpack(some))
    redis.call('HDEL', entries, unpack(some))
  end
  redis.call('SET', trimmed, 1)
  -- What was trimmed was not lost: a bound that was lowered is no reason to fill all of it again.
  local sign = redis.call('GET', complete)
  if sign and tonumber(sign) > keep then redis.call('SET', complete, keep) end
end
return over
