// The errors that the functions answer with. All of them have one shape.

export type Issue = { path: (string | number)[]; message: string };

/** An answer other than success; `message` and `issues` go to the caller. */
export class HttpError extends Error {
  readonly issues: Issue[];
  readonly headers: Record<string, string>;

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    more: { issues?: Issue[]; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.issues = more.issues ?? [];
    this.headers = more.headers ?? {};
  }
}

export const unauthorized = (message: string): HttpError =>
  new HttpError(401, "unauthorized", message, { headers: { "www-authenticate": "Bearer" } });

export const forbidden = (message: string): HttpError => new HttpError(403, "forbidden", message);

/** The body is JSON, but some of its fields are wrong. */
export const invalid = (issues: Issue[]): HttpError =>
  new HttpError(422, "invalid", `${issues.length} field${issues.length === 1 ? " is" : "s are"} wrong`, {
    issues,
  });

/** Another try may succeed: nothing is known to be wrong with the request. */
export const unavailable = (message = "The database cannot be reached, or cannot answer now."): HttpError =>
  new HttpError(503, "unavailable", message, { headers: { "retry-after": "1" } });
