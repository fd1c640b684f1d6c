-- The response lock. It stands before ext_proc in the filter list, so responses reach it last.
-- An answer of the model server passes only with the gate secret on it, which ext_proc puts there; without it, it becomes
-- an empty-handed 502: ext_proc let it through without judging it. What Envoy made itself (its own errors, and immediate
-- responses of ext_proc) carries nothing of the model server's and passes as it is.
local GATE_HEADER = "@GATE_HEADER@"
local ORIGIN_HEADER = "@ORIGIN_HEADER@"
local GATE = "@GATE@"
local UPSTREAM = "via_upstream" -- response code details of whatever the model server answered
local SENTENCE = '{"error":{"message":"The answer was not inspected and was withheld.",'
  .. '"type":"server_error","code":"gate"}}'

function envoy_on_request(handle)
  handle:headers():remove(GATE_HEADER)
  handle:headers():remove(ORIGIN_HEADER)
  -- Envoy would copy it into spans, whatever a client writes there.
  handle:headers():remove("x-client-trace-id")
end

local function passes(headers)
  if headers:getNumValues(GATE_HEADER) == 1 and headers:get(GATE_HEADER) == GATE then
    return true
  end
  -- The filter between ext_proc and this one has just written the origin, over anything the model server sent.
  local origin = headers:get(ORIGIN_HEADER)
  return origin ~= nil and origin ~= "" and origin ~= "-" and origin ~= UPSTREAM
end

local function withhold(handle, headers)
  headers:replace(":status", "502")
  local names = {}
  for name, _ in pairs(headers) do
    if name ~= ":status" then
      names[#names + 1] = name
    end
  end
  for _, name in ipairs(names) do
    headers:remove(name)
  end
  headers:add("content-type", "application/json")
  -- Chunk by chunk: nothing is buffered, and the client has its 502 before the model server is done.
  local left = SENTENCE
  for chunk in handle:bodyChunks() do
    chunk:setBytes(left)
    left = ""
  end
  local trailers = handle:trailers()
  if trailers ~= nil then
    names = {}
    for name, _ in pairs(trailers) do
      names[#names + 1] = name
    end
    for _, name in ipairs(names) do
      trailers:remove(name)
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  -- A Lua error would let the response pass as it is: an error while judging is a no.
  local judged, verdict = pcall(passes, headers)
  if judged and verdict then
    headers:remove(GATE_HEADER)
    headers:remove(ORIGIN_HEADER)
  else
    withhold(handle, headers)
  end
end
