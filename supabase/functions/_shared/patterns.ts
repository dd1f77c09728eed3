// Pattern keys and action categories, as `worker/pm_strength/patterns.py` makes them. Both are tested with
// patterns.cases.json.

export type Category = "entry" | "add" | "trim" | "exit";
export type Flags = Record<string, unknown> | null | undefined;

const ALIASES: Record<Category, string[]> = {
  entry: ["entry_immediate", "e1", "e2", "entry", "buy", "rebuy"],
  add: ["add", "scale_up"],
  trim: ["trim", "partial_exit"],
  exit: ["cut", "emergency_exit", "panic_exit", "exit", "sell"],
};
const CATEGORY_OF = new Map(
  (Object.keys(ALIASES) as Category[]).flatMap((category) =>
    ALIASES[category].map((alias) => [alias, category] as const)
  ),
);

// The first flag that holds names the motif. If none holds, the motif is the category.
const MOTIFS: Record<Category, [flag: string, motif: string][]> = {
  entry: [
    ["buy_flag", "buy_flag"],
    ["first_dip_buy_flag", "first_dip_buy"],
    ["reclaimed_ema333", "reclaimed_ema333"],
  ],
  add: [["is_dx_buy", "dx"], ["exhaustion", "exhaustion_add"]],
  trim: [["exhaustion", "exhaustion_trim"], ["at_support", "support_trim"]],
  exit: [["exhaustion", "exhaustion_exit"]],
};

/** An action that has no pattern key; the message begins with the field at fault. */
export class PatternKeyError extends Error {}

/** The category of an action type or one of its aliases, in any case; null for anything else. */
export const canonicalActionCategory = (actionType: unknown): Category | null =>
  typeof actionType === "string" ? CATEGORY_OF.get(actionType.toLowerCase()) ?? null : null;

/** The pattern key and the category of an action; throws `PatternKeyError` where it would have to guess. */
export const generateCanonicalPatternKey = (
  module: unknown,
  actionType: unknown,
  actionContext: Flags,
  uptrendSignals?: Flags,
): { patternKey: string; actionCategory: Category } => {
  if (module !== "pm") throw new PatternKeyError(`module: expected "pm", got ${shown(module)}`);
  const category = canonicalActionCategory(actionType);
  if (category === null) {
    const known = [...CATEGORY_OF.keys()].sort().join(", ");
    throw new PatternKeyError(`action_type: expected one of ${known}, got ${shown(actionType)}`);
  }
  const context = actionContext ?? {};
  const family = partOf(context, "pattern_family", "uptrend");
  const state = partOf(context, "state", "Unknown");
  const motif = motifOf(category, String(actionType), context, uptrendSignals ?? {});
  return { patternKey: `module=pm|pattern_key=${family}.${state}.${motif}`, actionCategory: category };
};

const motifOf = (
  category: Category,
  actionType: string,
  context: Record<string, unknown>,
  signals: Record<string, unknown>,
): string => {
  if (actionType.toLowerCase() === "panic_exit") return "panic_exit";
  const found = MOTIFS[category].find(([flag]) => context[flag] === true || signals[flag] === true);
  return found ? found[1] : category;
};

const partOf = (context: Record<string, unknown>, name: string, otherwise: string): string => {
  const value = context[name] ?? "";
  if (Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string") {
    throw new PatternKeyError(`action_context.${name}: expected a text, got ${shown(value)}`);
  }
  return value || otherwise;
};

const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 60);
