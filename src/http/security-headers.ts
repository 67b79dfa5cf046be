import type { IncomingMessage, ServerResponse } from 'node:http';
import helmet, { type HelmetOptions } from 'helmet';

/** Answers are data: nothing may run, load or frame. */
export const API_OPTIONS: HelmetOptions = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
  },
};

/** The page of the API documentation is Swagger UI, which styles inline and shows images as data. */
const PAGE_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** What helmet sends with an answer of the API. It depends on no request, so it is worked out once, at the start. */
export const API_HEADERS: Readonly<Record<string, string>> = headersOf(API_OPTIONS);

/** The same for the page of the API documentation. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  ...API_HEADERS,
  'content-security-policy': PAGE_POLICY,
};

/** @returns the headers that helmet sets with these options, names in lower case */
function headersOf(options: HelmetOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  // This is all that helmet does to an answer; it looks at no request.
  const answer = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  };
  helmet(options)({} as IncomingMessage, answer as unknown as ServerResponse, (error) => {
    if (error) throw error;
  });
  return headers;
}
