// HTTPS with a client certificate, as `fetch`: Node's own `fetch` takes none.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';

/** A `fetch` that trusts `ca.pem` and shows the certificate `who`, or none. */
export async function fetchAs(certificates, who) {
  const ca = await readFile(certificates.file('ca.pem'));
  const identity = who && {
    cert: await readFile(certificates.file(`${who}.pem`)),
    key: await readFile(certificates.file(`${certificates.keyOf?.[who] ?? who}.key`)),
  };
  const agent = new https.Agent({ ca, ...identity });
  return async (url, { method = 'GET', headers = {}, body } = {}) => {
    const secure = new URL(url).protocol === 'https:';
    const request = (secure ? https : http).request(url, {
      method,
      headers: Object.fromEntries(new Headers(headers)),
      ...(secure && { agent }),
    });
    request.end(body === undefined || body === null ? undefined : String(body));
    const [answer] = await once(request, 'response');
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    const fields = Object.entries(answer.headers).filter(([, value]) => typeof value === 'string');
    const content = chunks.length > 0 ? Buffer.concat(chunks) : null;
    const response = new Response(content, { status: answer.statusCode, headers: fields });
    Object.defineProperty(response, 'url', { value: String(url) });
    return response;
  };
}
