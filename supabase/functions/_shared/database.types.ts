export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "public": {
          Tables: {
            "ad_strands": {
                  Row: {
                    "content": NonNullable<Json>,"created_at": string,"id": string,"kind": string,"module": string,"position_id": string | null,"symbol": string | null,"timeframe": string | null,"trade_id": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "content"?: NonNullable<Json>,"created_at"?: string,"id"?: string,"kind": string,"module": string,"position_id"?: string | null,"symbol"?: string | null,"timeframe"?: string | null,"trade_id"?: string | null
                  }
                  Update: {
                    "content"?: NonNullable<Json>,"created_at"?: string,"id"?: string,"kind"?: string,"module"?: string,"position_id"?: string | null,"symbol"?: string | null,"timeframe"?: string | null,"trade_id"?: string | null
                  }
                  Relationships: [
                    
                  ]
                },"learning_runs": {
                  Row: {
                    "baseline": number | null,"error": string | null,"events": number | null,"finished_at": string | null,"id": number,"kind": string,"lessons": number | null,"module": string,"overrides": number | null,"request_id": string,"role": string,"settings": NonNullable<Json>,"source_run_id": number | null,"started_at": string,"status": string,"trades": number | null,"warning": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "baseline"?: number | null,"error"?: string | null,"events"?: number | null,"finished_at"?: string | null,"id"?: never,"kind": string,"lessons"?: number | null,"module"?: string,"overrides"?: number | null,"request_id"?: string,"role"?: string,"settings": NonNullable<Json>,"source_run_id"?: number | null,"started_at"?: string,"status"?: string,"trades"?: number | null,"warning"?: string | null
                  }
                  Update: {
                    "baseline"?: number | null,"error"?: string | null,"events"?: number | null,"finished_at"?: string | null,"id"?: never,"kind"?: string,"lessons"?: number | null,"module"?: string,"overrides"?: number | null,"request_id"?: string,"role"?: string,"settings"?: NonNullable<Json>,"source_run_id"?: number | null,"started_at"?: string,"status"?: string,"trades"?: number | null,"warning"?: string | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "learning_runs_source_run_id_fkey"
      columns: ["source_run_id"]
isOneToOne: false
      referencedRelation: "learning_runs"
      referencedColumns: ["id"]
    }
                  ]
                },"learning_settings": {
                  Row: {
                    "in_force": Json | null,"module": string,"settings": NonNullable<Json>,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "in_force"?: never,"module": string,"settings"?: NonNullable<Json>,"updated_at"?: string
                  }
                  Update: {
                    "in_force"?: never,"module"?: string,"settings"?: NonNullable<Json>,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"pattern_trade_events": {
                  Row: {
                    "action_at": string | null,"action_category": string,"closed_by": string | null,"created_at": string,"id": number,"module": string,"pattern_key": string,"pnl_usd": number | null,"reached_s3": boolean | null,"rpnl_pct": number | null,"rr": number,"scope": NonNullable<Json>,"strand_id": string,"timestamp": string,"trade_id": string,"trimmed": boolean | null
                  }
                  ComputedFields: never
                  Insert: {
                    "action_at"?: string | null,"action_category": string,"closed_by"?: string | null,"created_at"?: string,"id"?: never,"module"?: string,"pattern_key": string,"pnl_usd"?: number | null,"reached_s3"?: boolean | null,"rpnl_pct"?: number | null,"rr": number,"scope": NonNullable<Json>,"strand_id": string,"timestamp": string,"trade_id": string,"trimmed"?: boolean | null
                  }
                  Update: {
                    "action_at"?: string | null,"action_category"?: string,"closed_by"?: string | null,"created_at"?: string,"id"?: never,"module"?: string,"pattern_key"?: string,"pnl_usd"?: number | null,"reached_s3"?: boolean | null,"rpnl_pct"?: number | null,"rr"?: number,"scope"?: NonNullable<Json>,"strand_id"?: string,"timestamp"?: string,"trade_id"?: string,"trimmed"?: boolean | null
                  }
                  Relationships: [
                    
                  ]
                },"pm_dead_letters": {
                  Row: {
                    "code": string,"created_at": string,"id": number,"job": string | null,"message": NonNullable<Json>,"queue": string,"reason": string,"requeued_at": string | null,"resolved_at": string | null,"strand_id": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "code": string,"created_at"?: string,"id"?: never,"job"?: string | null,"message": NonNullable<Json>,"queue": string,"reason": string,"requeued_at"?: string | null,"resolved_at"?: string | null,"strand_id"?: string | null
                  }
                  Update: {
                    "code"?: string,"created_at"?: string,"id"?: never,"job"?: string | null,"message"?: NonNullable<Json>,"queue"?: string,"reason"?: string,"requeued_at"?: string | null,"resolved_at"?: string | null,"strand_id"?: string | null
                  }
                  Relationships: [
                    
                  ]
                },"pm_retention": {
                  Row: {
                    "keep_days": number,"keep_rows": number | null,"keep_sets": number | null,"what": string
                  }
                  ComputedFields: never
                  Insert: {
                    "keep_days": number,"keep_rows"?: number | null,"keep_sets"?: number | null,"what": string
                  }
                  Update: {
                    "keep_days"?: number,"keep_rows"?: number | null,"keep_sets"?: number | null,"what"?: string
                  }
                  Relationships: [
                    
                  ]
                }
          }
          Views: {
            "learning_lessons": {
                  Row: {
                    "action_category": string,"decay_halflife_hours": number | null,"edge_raw": number | null,"id": number,"lesson_type": string | null,"module": string,"n": number,"pattern_key": string,"run_id": number | null,"scope_subset": NonNullable<Json>,"stats": Json | null,"status": string | null,"updated_at": string | null
                  }
                  ComputedFields: never
                  Insert: {
                           "action_category"?: string | null,"decay_halflife_hours"?: number | null,"edge_raw"?: number | null,"id"?: number | null,"lesson_type"?: string | null,"module"?: string | null,"n"?: number | null,"pattern_key"?: string | null,"run_id"?: number | null,"scope_subset"?: Json | null,"stats"?: Json | null,"status"?: string | null,"updated_at"?: string | null
                         }
                        Update: {
                           "action_category"?: string | null,"decay_halflife_hours"?: number | null,"edge_raw"?: number | null,"id"?: number | null,"lesson_type"?: string | null,"module"?: string | null,"n"?: number | null,"pattern_key"?: string | null,"run_id"?: number | null,"scope_subset"?: Json | null,"stats"?: Json | null,"status"?: string | null,"updated_at"?: string | null
                         }
                        Relationships: [
                    
                  ]
                },"pm_override_sets": {
                  Row: {
                    "created_at": string,"dropped_at": string | null,"exposure_scale": number,"id": number,"mining_run_id": number | null,"module": string,"pinned": boolean,"profile": string,"published_at": string | null,"replaced_at": string | null,"role": string,"row_count": number,"run_id": number | null,"settings": NonNullable<Json>,"state": string
                  }
                  ComputedFields: never
                  Insert: {
                           "created_at"?: string | null,"dropped_at"?: string | null,"exposure_scale"?: number | null,"id"?: number | null,"mining_run_id"?: number | null,"module"?: string | null,"pinned"?: boolean | null,"profile"?: string | null,"published_at"?: string | null,"replaced_at"?: string | null,"role"?: string | null,"row_count"?: number | null,"run_id"?: number | null,"settings"?: Json | null,"state"?: string | null
                         }
                        Update: {
                           "created_at"?: string | null,"dropped_at"?: string | null,"exposure_scale"?: number | null,"id"?: number | null,"mining_run_id"?: number | null,"module"?: string | null,"pinned"?: boolean | null,"profile"?: string | null,"published_at"?: string | null,"replaced_at"?: string | null,"role"?: string | null,"row_count"?: number | null,"run_id"?: number | null,"settings"?: Json | null,"state"?: string | null
                         }
                        Relationships: [
                    {
      foreignKeyName: "sets_mining_run_id_fkey"
      columns: ["mining_run_id"]
isOneToOne: false
      referencedRelation: "learning_runs"
      referencedColumns: ["id"]
    },{
      foreignKeyName: "sets_run_id_fkey"
      columns: ["run_id"]
isOneToOne: false
      referencedRelation: "learning_runs"
      referencedColumns: ["id"]
    }
                  ]
                },"pm_overrides": {
                  Row: {
                    "a_multiplier": number | null,"action_category": string,"confidence_score": number,"decay_state": string | null,"e_multiplier": number | null,"id": number,"last_updated_at": string | null,"module": string,"multiplier": number,"pattern_key": string,"run_id": number | null,"scope_subset": NonNullable<Json>,"stats": Json | null
                  }
                  ComputedFields: never
                  Insert: {
                           "a_multiplier"?: number | null,"action_category"?: string | null,"confidence_score"?: number | null,"decay_state"?: string | null,"e_multiplier"?: number | null,"id"?: number | null,"last_updated_at"?: string | null,"module"?: string | null,"multiplier"?: number | null,"pattern_key"?: string | null,"run_id"?: number | null,"scope_subset"?: Json | null,"stats"?: Json | null
                         }
                        Update: {
                           "a_multiplier"?: number | null,"action_category"?: string | null,"confidence_score"?: number | null,"decay_state"?: string | null,"e_multiplier"?: number | null,"id"?: number | null,"last_updated_at"?: string | null,"module"?: string | null,"multiplier"?: number | null,"pattern_key"?: string | null,"run_id"?: number | null,"scope_subset"?: Json | null,"stats"?: Json | null
                         }
                        Relationships: [
                    
                  ]
                }
          }
          Functions: {
            "pm_strength_archive":
{ Args: { "msg_ids": (number)[],"queue": string }; Returns: number
                           },
"pm_strength_begin_run":
{ Args: { "kind": string,"module": string,"request_id": string,"role"?: string,"settings": Json }; Returns: Json
                           },
"pm_strength_capture_plain":
{ Args: { "msg_ids": (number)[],"strand_ids": (string)[] }; Returns: Json
                           },
"pm_strength_check_events":
{ Args: { "module": string,"up_to_id": number,"with_count"?: boolean }; Returns: Json
                           },
"pm_strength_claim_trades":
{ Args: { "batch_size": number,"visibility_seconds": number,"wait_seconds": number }; Returns: Json
                           },
"pm_strength_commit_trades":
{ Args: { "dead": Json,"done_ids": (number)[],"events": Json,"retries": Json }; Returns: Json
                           },
"pm_strength_dead_letter":
{ Args: { "msg_id": number,"queue": string,"reason": string }; Returns: boolean
                           },
"pm_strength_enqueue_due":
{ Args: { "at"?: string }; Returns: number
                           },
"pm_strength_enqueue_job":
{ Args: { "job": string,"module"?: string,"slot"?: string }; Returns: number
                           },
"pm_strength_extend":
{ Args: { "msg_ids": (number)[],"queue": string,"visibility_seconds": number }; Returns: number
                           },
"pm_strength_fail_run":
{ Args: { "error": string,"run_id": number,"status"?: string }; Returns: boolean
                           },
"pm_strength_fill_action_at":
{ Args: { "after_id": string,"page_size": number }; Returns: Json
                           },
"pm_strength_index_set":
{ Args: { "run_id": number }; Returns: string
                           },
"pm_strength_open_set":
{ Args: { "baseline"?: number,"large"?: number,"row_count": number,"run_id": number,"very_large"?: number }; Returns: number
                           },
"pm_strength_prune":
{ Args: { "page_size": number }; Returns: number
                           },
"pm_strength_publish_run":
{ Args: { "active": number,"run_id": number,"summary": Json }; Returns: string
                           },
"pm_strength_purge_sets":
{ Args: { "page_size": number }; Returns: number
                           },
"pm_strength_queue_status":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"pm_strength_read_events":
{ Args: { "after_id": number,"module": string,"page_size": number,"up_to_id": number }; Returns: Json
                           },
"pm_strength_read_job":
{ Args: { "visibility_seconds": number }; Returns: Json
                           },
"pm_strength_read_overrides":
{ Args: { "after_id"?: number,"module"?: string,"page_size"?: number,"set_id"?: number }; Returns: Json
                           },
"pm_strength_read_trades":
{ Args: { "max_bytes"?: number,"strand_ids": (string)[] }; Returns: Json
                           },
"pm_strength_repair":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"pm_strength_replay":
{ Args: { "budget_ms"?: number,"requests": Json }; Returns: Json
                           },
"pm_strength_requeue":
{ Args: { "letter_ids"?: (number)[] }; Returns: number
                           },
"pm_strength_rollback":
{ Args: { "set_id": number }; Returns: Json
                           },
"pm_strength_scope_bits":
{ Args: { "groups": Json,"members": Json }; Returns: Json
                           },
"pm_strength_set_aside":
{ Args: { "after_id": string,"kind": string }; Returns: string
                           },
"pm_strength_set_at":
{ Args: { "at": string,"module"?: string,"role"?: string }; Returns: Json
                           },
"pm_strength_stage_leaving":
{ Args: { "after_id": number,"page_size": number,"run_id": number }; Returns: number
                           },
"pm_strength_stage_lessons":
{ Args: { "a_score"?: (number)[],"action_categories": (string)[],"avg_rr": (number)[],"avg_rr_half": (number)[],"bayes_factor": (number)[],"decay_state": (number)[],"design_effect": (number)[],"dimensions": (number)[],"e_score"?: (number)[],"edge_raw": (number)[],"first": number,"groups": (number)[],"leads": (number)[],"n": (number)[],"own_design": (number)[],"p_value": (number)[],"pattern_keys": (string)[],"reached_s3_n"?: (number)[],"reached_s3_rate"?: (number)[],"run_id": number,"scopes": string,"slope_p_value": (number)[],"slope_per_hour": (number)[],"stats"?: string,"trimmed_n"?: (number)[],"trimmed_rate"?: (number)[],"variance": (number)[] }; Returns: number
                           },
"pm_strength_stage_overrides":
{ Args: { "first": number,"page_size": number,"run_id": number }; Returns: Json
                           },
"pm_strength_stage_retired":
{ Args: { "part": number,"part_rows": number,"run_id": number }; Returns: number
                           },
"pm_strength_sweep":
{ Args: { "after_id": string,"kind": string,"page_size": number }; Returns: Json
                           },
"pm_strength_unpin":
{ Args: { "module": string }; Returns: number
                           },
"pm_strength_weigh_exposure":
{ Args: { "before_id": number,"page_size": number,"run_id": number }; Returns: Json
                           },
"pm_strength_weigh_trade":
{ Args: { "strand_id": string }; Returns: Json
                           },
"resolve_pm_strength":
{ Args: { "action_category": string,"match_limit"?: number,"module"?: string,"pattern_key": string,"scope"?: Json,"trade_id"?: string }; Returns: Json
                           },
"resolve_pm_strength_at":
{ Args: { "action_category": string,"at": string,"match_limit"?: number,"module"?: string,"pattern_key": string,"role"?: string,"scope"?: Json }; Returns: Json
                           },
"resolve_pm_strength_batch":
{ Args: { "budget_ms"?: number,"match_limit"?: number,"requests": Json }; Returns: Json
                           }
          }
          Enums: {
            [_ in never]: never
          }
          CompositeTypes: {
            [_ in never]: never
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "public": {
          Enums: {
            
          }
        }
} as const
