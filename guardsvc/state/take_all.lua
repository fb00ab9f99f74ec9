-- Takes of all windows what is asked, or of none; returns the numbers of those without room, from 1.
--
-- What is stored is what the library "limits" stores, which reads it too. Each window has two KEYS: its counter or
-- list, and for a sliding window the one of the window before it.
-- ARGV: the time in seconds, then for each window its strategy, its limit, its length in seconds, and how much.

local PIECE = 5000 -- arguments that a call takes
local now = tonumber(ARGV[1])
local has_room, take = {}, {}

function has_room.fixed_window(key, before, limit, length, amount)
    return (tonumber(redis.call('get', key)) or 0) + amount <= limit
end

function take.fixed_window(key, before, limit, length, amount)
    if redis.call('incrby', key, amount) == amount then
        redis.call('expire', key, length)
    end
end

function has_room.moving_window(key, before, limit, length, amount)
    local hindering = amount <= limit and redis.call('lindex', key, limit - amount)
    return amount <= limit and not (hindering and tonumber(hindering) >= now - length)
end

function take.moving_window(key, before, limit, length, amount)
    local entries = {}
    for number = 1, math.min(amount, PIECE) do
        entries[number] = ARGV[1]
    end
    for first = 1, amount, PIECE do
        redis.call('lpush', key, unpack(entries, 1, math.min(PIECE, amount - first + 1)))
    end
    redis.call('ltrim', key, 0, limit - 1)
    redis.call('expire', key, length)
end

function has_room.sliding_window(key, before, limit, length, amount)
    local span = length * 1000
    local left = redis.call('pttl', key)
    if left > 0 and left < span then
        redis.call('rename', key, before)
        redis.call('set', key, 0, 'PX', left + span)
    end
    local weighted = (tonumber(redis.call('get', before)) or 0) * math.max(redis.call('pttl', before), 0) / span
    return math.floor(weighted) + (tonumber(redis.call('get', key)) or 0) + amount <= limit
end

function take.sliding_window(key, before, limit, length, amount)
    if redis.call('exists', key) == 1 then
        redis.call('incrby', key, amount)
    else
        redis.call('set', key, amount, 'PX', 2000 * length)
    end
end

local function each(act)
    for number = 1, #KEYS / 2 do
        local at = 4 * number - 2
        local limit, length, amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
        act(number, ARGV[at], KEYS[2 * number - 1], KEYS[2 * number], limit, length, amount)
    end
end

local lacking = {}
each(function(number, strategy, ...)
    if not has_room[strategy](...) then
        lacking[#lacking + 1] = number
    end
end)
if #lacking == 0 then
    each(function(number, strategy, ...)
        take[strategy](...)
    end)
end
return lacking
