-- The response lock behind a gateway that is not ours. It stands before ext_proc in the filter list, so responses reach
-- it last. What the service judged, or answered itself, says so in dynamic metadata, which no model server can write;
-- any other response becomes an empty-handed 502: ext_proc let it through without judging it, or could not be asked.
local NAMESPACE = "extproc"
local SENTENCE = '{"error":{"message":"The answer was not inspected and was withheld.",'
  .. '"type":"server_error","code":"gate"}}'

function envoy_on_request(handle)
end

local function passes(handle)
  local said = handle:streamInfo():dynamicMetadata():get(NAMESPACE)
  return said ~= nil and (said["answer"] == "judged" or said["decision"] == "deny")
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
  -- A Lua error would let the response pass as it is: an error while judging is a no.
  local judged, verdict = pcall(passes, handle)
  if not (judged and verdict) then
    withhold(handle, handle:headers())
  end
end
