select date_bin(interval '1 hour', at, timestamp '1970-01-01T00:00:00Z') as time, code, sum(bytes) as bytes
from kinesis.default.nasahttp
where $__timeFilter(at)
group by time, code
order by time
